"""The licence of a repository, as its model card names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from huggingface_hub import ModelInfo

from noibo.modelstore.sources.hub_listing import HubFile

_FILE: Final = re.compile(r"(?:licen[cs]e|copying)(?:[-_.][\w-]+)?(?:\.(?:txt|md))?", re.IGNORECASE)
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class HubLicence:
    """`name` is an id of the hub (apache-2.0, llama3.1, gemma) or, for "other", its own title."""

    name: str | None
    link: str | None
    file: str | None  # its text, in the repository

    @classmethod
    def of(cls, info: ModelInfo, files: Iterable[HubFile]) -> HubLicence:
        """From the card (license, license_name, license_link), else from the tags."""
        card = info.card_data
        names = _texts(getattr(card, "license", None)) or [
            tag.removeprefix("license:") for tag in _texts(info.tags) if tag.startswith("license:")
        ]
        own_name = next(iter(_texts(getattr(card, "license_name", None))), None)
        name = ", ".join(names[:5]) or None
        if own_name and name in {None, "other"}:
            name = own_name
        given = next(iter(_texts(getattr(card, "license_link", None))), None)
        texts = [file.path for file in files if _FILE.fullmatch(file.path)]
        if given in texts:
            texts = [given]
        return cls(name, _link(given, info.id), min(texts, key=len, default=None))


def _texts(value: object) -> list[str]:
    """A card's field may hold a text, several, or nonsense."""
    values: Sequence[object] = value if isinstance(value, (list, tuple)) else [value]
    texts = [one for one in values if isinstance(one, str)]
    return [one for one in texts if 0 < len(one) <= _LONGEST and one.isprintable()]


def _link(given: str | None, repo: str) -> str | None:
    """An address as it is; of a file of the repository, its page."""
    if given is None:
        return None
    try:
        if urlsplit(given).scheme in {"http", "https"}:
            return given
    except ValueError:
        return None
    return f"https://huggingface.co/{repo}/blob/main/{given}" if _FILE.fullmatch(given) else None
