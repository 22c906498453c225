"""What the store knows, in the shapes that go over the wire."""

from __future__ import annotations

import msgspec

from noibo.modelstore.catalog import licences
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.management.housekeeping import Checked, Fault, Leftover, Usage
from noibo.modelstore.manifest import InPlace, Licence, ModelFile
from noibo.modelstore.progress import Progress
from noibo.modelstore.store import Removed, Store, StoredModel, Survey
from noibo.wire.models import (
    CheckedRow,
    CollectedRow,
    ErrorRow,
    FaultRow,
    FileRow,
    LeftoverRow,
    LicenceRow,
    ModelList,
    ModelRow,
    ModelShown,
    ProgressRow,
    RemovedRow,
    UsageRow,
    UseRow,
)


def model_row(model: StoredModel) -> ModelRow:
    """One model."""
    return msgspec.convert(model.as_dict(), ModelRow)


def model_shown(model: StoredModel, store: Store) -> ModelShown:
    """One model and all that is known of it. Reads its file's header."""
    is_file = model.facts.format == "gguf"
    return ModelShown(
        **msgspec.to_builtins(model_row(model)),
        contents=[_file_row(one, store) for one in model.manifest.files],
        licensed=_licence_row(model.manifest.licence),
        defaults=msgspec.to_builtins(model.defaults),
        info=msgspec.to_builtins(inspect_model(model.path).as_dict()) if is_file else {},
    )


def model_list(survey: Survey) -> ModelList:
    """Everything that is in the store."""
    return ModelList(
        models=[model_row(model) for model in survey.models],
        problems=[ErrorRow.of(problem) for problem in survey.problems],
    )


def removed_row(gone: Removed) -> RemovedRow:
    """What a removal did."""
    return RemovedRow(
        model=str(gone.reference), freed=gone.freed, shared=gone.shared, in_place=gone.in_place
    )


def progress_row(progress: Progress, pull: str = "") -> ProgressRow:
    """How far something is."""
    return ProgressRow(
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        note=progress.note,
        file=progress.file,
        number=progress.number,
        count=progress.count,
        rate=progress.rate,
        seconds_left=progress.seconds_left,
        pull=pull,
    )


def checked_row(checked: Checked, left: list[Fault]) -> CheckedRow:
    """What a check found; `left` is what is still wrong."""
    return CheckedRow(
        files=checked.files,
        bytes=checked.bytes,
        unverified=list(checked.unverified),
        faults=[_fault_row(fault) for fault in left],
        mended=[_fault_row(fault) for fault in checked.faults if fault not in left],
    )


def collected_row(gone: list[Leftover]) -> CollectedRow:
    """What was removed."""
    return CollectedRow(
        removed=[_leftover_row(one) for one in gone], freed=sum(one.size for one in gone)
    )


def usage_row(usage: Usage, store: Store) -> UsageRow:
    """Where the bytes are."""
    return UsageRow(
        folder=str(store.folder),
        models=[
            UseRow(model=use.model, own=use.own, shared=use.shared, in_place=use.in_place)
            for use in usage.models
        ],
        blobs=usage.blobs,
        in_place=usage.in_place,
        leftovers=[_leftover_row(one) for one in usage.leftovers],
        free=usage.free,
    )


def _file_row(one: ModelFile, store: Store) -> FileRow:
    return FileRow(
        role=one.role,
        name=one.name,
        size=one.file.size,
        sha256=one.file.sha256,
        path=str(store.where(one)),
        in_place=isinstance(one.file, InPlace),
    )


def _licence_row(licence: Licence) -> LicenceRow:
    known = licences.classify(licence.said)
    return LicenceRow(
        name=known.name,
        kind=known.kind,
        means={str(language): means for language, means in known.means.items()},
        link=licence.link or known.link,
        text=licence.text,
    )


def _fault_row(fault: Fault) -> FaultRow:
    return FaultRow(
        path=fault.path, what=fault.what, models=list(fault.models), next_step=fault.next_step
    )


def _leftover_row(one: Leftover) -> LeftoverRow:
    return LeftoverRow(path=str(one.path), kind=one.kind, size=one.size)
