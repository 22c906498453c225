"""`noibo store check --repair`: what is damaged is set aside, and its bad pieces fetched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from noibo.errors import Cancelled, NoiboError
from noibo.modelstore.management.housekeeping import Fault
from noibo.modelstore.manifest import Manifest
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
    report(Progress("repair", note=f"Mending {', '.join(fault.models)}."))
    manifests = (store.register.exact_or_none(Reference.parse(name)) for name in fault.models)
    known = next((one for one in manifests if one is not None and _can_be_fetched(one)), None)
    if known is None:
        return False
    puller.mend(known, report, cancel)  # for all that share the blob
    return all(_is_whole(store, name) for name in fault.models)


def _can_be_fetched(manifest: Manifest) -> bool:
    """False for what was added or imported, and for an address whose query was not written down."""
    return bool(manifest.origin) and " (query " not in manifest.origin


def _is_whole(store: Store, name: str) -> bool:
    try:
        store.get(Reference.parse(name))
    except NoiboError:
        return False
    return True
