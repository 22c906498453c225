"""`noibo store check --repair`: what is damaged is set aside, and its bad pieces fetched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from noibo.errors import Cancelled, NoiboError
from noibo.modelstore.housekeeping import Fault
from noibo.modelstore.origin import Web, parse
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.pulling import Puller
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store


def mend(
    store: Store, puller: Puller, faults: Sequence[Fault], report: Report, cancel: Cancel
) -> list[Fault]:
    """Mend the blobs that are damaged or gone; returns the faults that are left.

    Raises `Cancelled`; what was fetched until then is kept.
    """
    left = []
    for fault in faults:
        try:
            if fault.sha256 is None or not _mend(store, puller, fault, report, cancel):
                left.append(fault)
        except Cancelled:
            raise
        except NoiboError as exc:
            what = f"{fault.what}, and could not be mended: {exc.message}"
            left.append(replace(fault, what=what, next_step=exc.next_step or fault.next_step))
    return left


def _mend(store: Store, puller: Puller, fault: Fault, report: Report, cancel: Cancel) -> bool:
    """True if every model that uses the blob is whole again."""
    assert fault.sha256 is not None  # noqa: S101 - `mend` has looked
    origins = {name: _origin(store, name) for name in fault.models}
    if not any(origins.values()):
        return False
    report(Progress("repair", note=f"Mending {', '.join(fault.models)}."))
    if store.blob(fault.sha256).exists():
        store.set_aside(fault.sha256)
    for name, origin in origins.items():
        if origin and not _is_whole(store, name):
            puller.pull(origin, report, name=name, cancel=cancel)
    return all(_is_whole(store, name) for name in fault.models)


def _origin(store: Store, name: str) -> str:
    """What to type to fetch that model again; nothing for one that was added.

    A file at an address is pinned to the digest it has here: another one there is no mending.
    """
    manifest = store.exact_or_none(Reference.parse(name))
    if manifest is None or not manifest.origin:
        return ""
    digests = list(manifest.blobs)
    if isinstance(parse(manifest.origin), Web) and len(digests) == 1:
        return f"{manifest.origin}#sha256={digests[0]}"
    return manifest.origin


def _is_whole(store: Store, name: str) -> bool:
    try:
        store.get(Reference.parse(name))
    except NoiboError:
        return False
    return True
