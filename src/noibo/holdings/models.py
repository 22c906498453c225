"""Models that somebody made here (`/api/create`): what each is told first, how it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo.holdings.finding import Hit
from noibo.holdings.wanted import Wanted

MODEL: Final = "model"  # kind of a hit
_SAID: Final = "defaults"  # the system's words, examples, templates
_NAME: Final = "name"


def naming(folder: Path, wanted: Wanted, owner: str) -> Iterator[Hit]:
    """The models of a store that name somebody: `columns` says whether in their words or name."""
    for path, manifest in _manifests(folder):
        name = str(manifest.get("model", ""))
        said = wanted.within_json(manifest.get(_SAID))
        columns = ((_SAID,) if said else ()) + ((_NAME,) if wanted.within(name) else ())
        if columns:
            where = str(path.relative_to(folder))
            yield Hit(MODEL, (where,), owner, columns, wanted.excerpt(said or name))


def blank(folder: Path, hit: Hit, wanted: Wanted) -> bool:
    """Take somebody out of what a model is told; false for one that is only called so."""
    path = folder / str(hit.key[0])
    manifest = _read(path)
    said = manifest.get(_SAID) if manifest else None
    other = wanted.blank_json(said)
    if manifest is None or other == said:
        return False
    data = msgspec.json.format(msgspec.json.encode({**manifest, _SAID: other}), indent=2)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(data + b"\n")
    fresh.replace(path)
    return True


def is_called_so(hit: Hit) -> bool:
    """True if a model has somebody's name for its own, which nobody can blank."""
    return hit.kind == MODEL and _NAME in hit.columns


def name_of(folder: Path, hit: Hit) -> str:
    """What a model is called."""
    return str((_read(folder / str(hit.key[0])) or {}).get("model", hit.name))


def _manifests(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((folder / "manifests").rglob("*.json")):
        manifest = _read(path)
        if manifest is not None:
            yield path, manifest


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
