"""What an upload says of its file: purpose, and for how long it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from noibo.errors import InvalidRequest

PURPOSES: Final = ("assistants", "batch", "evals", "user_data", "vision")
BATCH_OUTPUT: Final = "batch_output"
ROOM_FOR_FORM: Final = 2**16  # what a form takes besides its file
LEAST_S, MOST_S = 3600, 2_592_000  # an hour, 30 days
BATCH_S: Final = MOST_S  # what a batch reads is kept for so long if nothing else is said
_KNOWN: Final = frozenset(
    {"purpose", "expires_after[anchor]", "expires_after[seconds]", "expires_after"}
)


def read_purpose(form: Mapping[str, str]) -> str:
    """Raises `InvalidRequest` for a purpose that no file has here."""
    purpose = form.get("purpose")
    if purpose not in PURPOSES:
        said = "is missing" if purpose is None else f"{purpose[:60]!r} is not served"
        raise InvalidRequest(f"purpose {said}; {', '.join(PURPOSES)} are.", param="purpose")
    return purpose


def read_lifetime(form: Mapping[str, str], purpose: str) -> float | None:
    """`expires_after` in seconds; None: for ever. Raises `InvalidRequest`."""
    for name in form.keys() - _KNOWN:
        raise InvalidRequest(f"{name[:60]} is not known here.", param=name[:60])
    if "expires_after" in form:
        raise InvalidRequest(
            "expires_after: send expires_after[anchor] and expires_after[seconds].",
            param="expires_after",
        )
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return BATCH_S if purpose == "batch" else None
    if anchor != "created_at":
        raise InvalidRequest(
            "expires_after[anchor] must be created_at.", param="expires_after[anchor]"
        )
    return require_lifetime(seconds, "expires_after[seconds]")


def require_lifetime(seconds: object, where: str) -> int:
    """From an hour to thirty days. Raises `InvalidRequest`."""
    number = seconds if isinstance(seconds, int) else 0
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < 12:
        number = int(seconds)
    if not LEAST_S <= number <= MOST_S:
        raise InvalidRequest(f"{where} must be from {LEAST_S} to {MOST_S}.", param=where)
    return number
