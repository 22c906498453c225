"""Whether files make up a model that an engine could run, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from noibo.errors import BadModelFile
from noibo.modelstore import checkpoint
from noibo.modelstore.gguf import model_info
from noibo.modelstore.gguf.model_info import ModelInfo
from noibo.modelstore.manifest import Facts, InPlace, Licence, ModelFile
from noibo.modelstore.offer import Role
from noibo.modelstore.parts import Part

# Of a checkpoint folder: what tells an engine how to read it. Never a pickle, never a program.
_CHECKPOINT: Final = (".safetensors", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".jsonl")


def files_of(path: Path) -> tuple[ModelFile, ...]:
    """The files of a model that lies on this machine; raises `BadModelFile`."""
    if path.is_dir():
        return _folder(path)
    info = model_info.inspect_model(path)
    _require_model(path, info)
    names = _part_names(path, info)
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise BadModelFile(
            f"{path} is one of {len(names)} parts; missing beside it: {', '.join(missing[:3])}.",
            next_step="Put all parts into one folder, under the names they were published with.",
        )
    roles: list[Role] = ["model", *(["part"] * (len(names) - 1))]  # type: ignore[list-item]
    return tuple(
        ModelFile(role, name, InPlace.of(path.parent / name))
        for role, name in zip(roles, names, strict=True)
    )


def describe_files(files: Sequence[tuple[Role, str, Path]]) -> tuple[Facts, Licence]:
    """Facts and licence from the headers of (role, name, path)s; raises `BadModelFile`."""
    members = {name: path for role, name, path in files if role == "file"}
    if members:
        return checkpoint.describe(members), Licence()
    facts, licence, parameters = Facts(), Licence(), 0
    for role, _, path in files:
        info = model_info.inspect_model(path)
        if role == "model":
            _require_model(path, info)
            facts, licence = Facts.of(info), _licence(info)
        elif role in {"projector", "adapter"} and info.kind != role:
            raise BadModelFile(
                f"{path} should be a {role}, and is of kind {info.kind!r}.",
                next_step=f"`noibo inspect {path}` shows what is in it.",
            )
        if role in {"model", "part"}:
            parameters += info.parameters
    return (
        Facts(facts.architecture, facts.quantisation, parameters, facts.context_length),
        licence,
    )


def _licence(info: ModelInfo) -> Licence:
    vague = info.licence in {None, "other"}
    return Licence((info.licence_name if vague else None) or info.licence, link=info.licence_link)


def _require_model(path: Path, info: ModelInfo) -> None:
    if info.kind != "model":
        raise BadModelFile(
            f"{path} is a GGUF file, but of kind {info.kind!r}, not a model that can answer.",
            next_step=f"`noibo inspect {path}` shows what is in it.",
        )
    if info.part not in {None, 1}:
        raise BadModelFile(
            f"{path} is part {info.part} of {info.parts} of a model.",
            next_step="Add the first part; the others are found beside it.",
        )


def _part_names(path: Path, info: ModelInfo) -> list[str]:
    if info.parts is None:
        return [path.name]
    part = Part.of(path.name)
    said = part and (part.number, part.count, part.ending)
    if part is None or said != (1, info.parts, ".gguf"):
        raise BadModelFile(
            f"{path} is part 1 of {info.parts}, but its name does not say so.",
            next_step=f"Name the parts as they were published: NAME-00001-of-{info.parts:05}.gguf.",
        )
    return [part.path(number) for number in range(1, info.parts + 1)]


def _folder(path: Path) -> tuple[ModelFile, ...]:
    if not (path / checkpoint.CONFIG).is_file():
        raise BadModelFile(
            f"{path} is a folder without config.json: not a checkpoint.",
            next_step="Give the GGUF file itself, or the folder that holds config.json.",
        )
    names = sorted(
        one.name
        for one in path.iterdir()
        if one.name.lower().endswith(_CHECKPOINT) and one.is_file() and not one.name.startswith(".")
    )
    return tuple(ModelFile("file", name, InPlace.of(path / name)) for name in names)
