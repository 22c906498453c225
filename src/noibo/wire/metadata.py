"""What OpenAI's requests carry only to be kept: `metadata`, and who it is for.

None of it changes an answer. It is checked, kept with what is stored, and logged by name alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, field

MOST_PAIRS: Final = 16
LONGEST_KEY: Final = 64
LONGEST_VALUE: Final = 512
Metadata = Annotated[
    dict[
        Annotated[str, Meta(max_length=LONGEST_KEY)], Annotated[str, Meta(max_length=LONGEST_VALUE)]
    ],
    Meta(max_length=MOST_PAIRS),
]
Identifier = Annotated[str, Meta(max_length=512)]
KEPT: Final[dict[str, Any]] = {
    "user": Identifier,
    "safety_identifier": Annotated[str, Meta(max_length=64)],
    "prompt_cache_key": Identifier,
    "prompt_cache_retention": Literal["in_memory", "in-memory", "24h"],
    "service_tier": Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"],
}


def read_metadata(fields: Fields) -> dict[str, str]:
    """`metadata`, within OpenAI's limits. Raises `InvalidRequest`."""
    found: dict[str, str] = field(fields, "metadata", dict[str, str], {})
    if len(found) > MOST_PAIRS:
        raise InvalidRequest(
            f"metadata has {len(found)} pairs; at most {MOST_PAIRS} are kept.", param="metadata"
        )
    for key, value in found.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise InvalidRequest(
                f"metadata: keys have at most {LONGEST_KEY} characters, values {LONGEST_VALUE}.",
                param=f"metadata.{key[:LONGEST_KEY]}",
            )
    return found


def read_kept(fields: Fields) -> dict[str, str]:
    """Those of `KEPT` that were given. Raises `InvalidRequest` for a wrong type."""
    found = {name: field(fields, name, kind) for name, kind in KEPT.items()}
    return {name: value for name, value in found.items() if value is not None}
