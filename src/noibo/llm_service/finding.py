"""From what a program calls its model to a model that can be loaded.

A path wins over a name: a GGUF file (of one in parts, the first), a folder that holds one, a
checkpoint of Hugging Face; else a name in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from noibo.engines.engine import Model
from noibo.engines.lookup import ModelLookup
from noibo.errors import (
    BadReference,
    InvalidRequest,
    ModelNotFound,
    ModelPathNotFound,
    NoiboError,
)
from noibo.llm_service import checkpoints
from noibo.llm_service.gguf_files import DEPTH, GgufFile, Inside, look_into, one_file
from noibo.llm_service.quantised import Variant, Wish, choose
from noibo.modelstore import catalog
from noibo.modelstore.checkpoint import CONFIG
from noibo.modelstore.importing.strange_tree import Look
from noibo.modelstore.parts import Part
from noibo.modelstore.store import Store
from noibo.modelstore.stored_model import StoredModel

if TYPE_CHECKING:
    from noibo.settings import Settings

USUAL_FOLDER: Final = Path("models/llm")
_SETUP: Final = (
    "`noibo llm setup` fetches a model, writes down where it is, and puts it into the place that "
    "LLM_MODEL_PATH names"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A model to load. `note` says what it is where it is not just what was asked for."""

    model: Model
    quantisation: str = ""
    note: str = ""


class Finder:
    """Finds models on this machine."""

    def __init__(self, tree: Settings, store: Store, lookup: ModelLookup) -> None:
        self._tree = tree
        self._store = store
        self._lookup = lookup

    async def find(self, said: str, wish: Wish) -> Found:
        """What `said` means; empty: the folder models/llm where there is one, else the default
        model. Raises `ModelPathNotFound`, `BadModelFile`, `InvalidRequest` for a folder with
        several, `QuantisationMissing`."""
        said = said or usual(self._tree)
        path = path_of(said)
        if path is None:
            return await self._named(said, wish)
        if name := await asyncio.to_thread(self._linked, path):
            return await self._named(name, wish)
        return await asyncio.to_thread(self._at, path, said, wish)

    def _linked(self, path: Path) -> str:
        """The store's name of the one GGUF model there, where its file is a link into the store, as
        `noibo llm setup` makes one: by the name its template and its other quantisations are known
        too. Empty for any other."""
        files = [path] if path.is_file() else _gguf_in(path)
        if len(files) != 1:
            return ""
        for stored in self._store.list():
            with contextlib.suppress(OSError):
                if not stored.in_place and stored.path.samefile(files[0]):
                    return str(stored.reference)
        return ""

    def _at(self, path: Path, said: str, wish: Wish) -> Found:
        if path.is_dir():
            return self._in_folder(path, wish)
        if not path.exists():
            raise _nothing(said)
        if path.suffix.lower() == ".safetensors":
            return self._checkpoint(path.parent, wish)
        return self._of_file(path, wish)

    def _of_file(self, path: Path, wish: Wish) -> Found:
        here = one_file(path)
        if not wish.bits:
            return self._found(here)
        others = [one for one in look_into(path.parent, depth=0).files if one.is_like(here)]
        return self._chosen([here, *(one for one in others if one.path != here.path)], wish)

    def _in_folder(self, path: Path, wish: Wish) -> Found:
        inside = look_into(path)
        files = inside.files
        if not files:
            if len(inside.checkpoints) == 1:
                return self._checkpoint(inside.checkpoints[0], wish)
            raise _no_model(path, inside)
        alike = all(one.is_like(files[0]) for one in files)
        if wish.bits and alike:
            return self._chosen(files, wish)
        if len(files) > 1:
            raise _several(path, [one.path for one in files])
        return self._found(files[0])

    def _checkpoint(self, folder: Path, wish: Wish) -> Found:
        model, licence = checkpoints.read(folder)
        self._store.require_allowed(licence, str(folder))
        return Found(*checkpoints.rounded(model, wish))

    def _chosen(self, files: Sequence[GgufFile], wish: Wish) -> Found:
        rows = {Variant(one.path.name, one.quantisation): one for one in files}
        chosen, note = choose(wish, list(rows), _beside(files[0], wish))
        return self._found(rows[chosen], note)

    def _found(self, file: GgufFile, note: str = "") -> Found:
        self._store.require_allowed(file.licence, str(file.path))
        return Found(file.model(self._tree.engine.default), file.quantisation, note)

    async def _named(self, said: str, wish: Wish) -> Found:
        try:
            model = await self._lookup.resolve(said)
        except (ModelNotFound, BadReference):
            raise _nothing(said) from None
        if model.engine == checkpoints.ENGINE:
            return Found(*checkpoints.rounded(model, wish))
        if model.path is None or model.format != "gguf":
            note = f"How the weights of {model.name} are held is for its engine, {model.engine}."
            return Found(model, note=note if wish.bits else "")
        chosen, note = await asyncio.to_thread(self._variant, model.name, wish)
        if chosen.name != model.name:
            model = await self._lookup.resolve(chosen.name)
        return Found(model, chosen.quantisation, note)

    def _variant(self, name: str, wish: Wish) -> tuple[Variant, str]:
        """Which of the forms of a model in the store."""
        stored = self._store.get(name)
        own = Variant(name, stored.facts.quantisation or "")
        if not wish.bits:
            return own, ""
        others = [one for one in self._store.list() if _kind(one) == _kind(stored)]
        rows = [Variant(str(one.reference), one.facts.quantisation or "") for one in others]
        return choose(wish, [own, *(row for row in rows if row.name != name)], _pull(stored, wish))


def usual(tree: Settings) -> str:
    """The model of a program that names none."""
    return str(USUAL_FOLDER) if USUAL_FOLDER.is_dir() else tree.default_model


def path_of(said: str) -> Path | None:
    """A path, where what was said is one: it is there, or can be meant as nothing else."""
    try:
        path = Path(said).expanduser()
        if path.exists():
            return path.absolute()
    except (OSError, RuntimeError, ValueError):  # too long, a stranger's home, a zero byte
        path = Path(said.replace("\0", ""))
    looks = said.startswith((".", "~", "/", "\\")) or said.lower().endswith(".gguf")
    return path.absolute() if looks else None


def _gguf_in(folder: Path) -> list[Path]:
    """The GGUF files there; of one in parts, the first."""
    found = [one for _, files in Look().walk(folder, DEPTH) for one in files]
    parts = [(one, Part.of(one.name)) for one in found if one.suffix.lower() == ".gguf"]
    return [one for one, part in parts if part is None or part.number == 1]


def _kind(one: StoredModel) -> tuple[str, str | None, int | None, str]:
    """What is the same of one model in several quantisations."""
    facts = one.facts
    return one.reference.short, facts.architecture, facts.parameters, facts.format


def _pull(stored: StoredModel, wish: Wish) -> str:
    """The command that fetches it in so many bits."""
    reference, known = stored.reference, catalog.load()
    choice = known.find(reference)
    if choice is not None and wish.name in known.quantisations(choice.model):
        return f"`noibo pull {choice.model.name}-{wish.name.lower()}` fetches it in {wish.name}."
    if reference.host == "hf.co":
        return f"`noibo pull {reference.short}:{wish.name}` fetches it in {wish.name}."
    return f"`noibo search {reference.name}` says where it can be had in {wish.name}."


def _beside(file: GgufFile, wish: Wish) -> str:
    """How a file in so many bits comes to lie beside this one."""
    fetch = f"`noibo search {file.stem}` says where it can be had in {wish.name}; put it beside."
    if Variant("", file.quantisation).width <= wish.bits:
        return fetch
    there = file.path.with_name(f"{file.stem}-{wish.name}.gguf")
    tool = f"llama-quantize '{file.path}' '{there}' {wish.name}"
    return f"llama.cpp's tool makes it: `{tool}`; or {fetch}"


def _nothing(said: str) -> ModelPathNotFound:
    return ModelPathNotFound(
        f"Model path not found: {said} is no file or folder here ({Path.cwd()}), and no model in "
        "the store.",
        next_step=f"{_SETUP}; `noibo list` shows what is in the store. A path or a name goes into "
        "LLM_MODEL_PATH, or LLMService(model_path=…).",
    )


def _no_model(path: Path, inside: Inside) -> NoiboError:
    """What is said of a folder without a GGUF file."""
    if inside.checkpoints:
        return _several(path, inside.checkpoints)
    why = f" Left out: {'; '.join(inside.left_out[:3])}." if inside.left_out else ""
    if not why and (path / CONFIG).is_file():
        why = f" {CONFIG} is there, but no weights (*.safetensors): it was not fetched whole."
    return ModelPathNotFound(
        f"There is no model in {path}.{why}", next_step=f"{_SETUP}; or put a GGUF file there."
    )


def _several(path: Path, models: Sequence[Path]) -> InvalidRequest:
    names = [str(one.relative_to(path)) for one in models]
    more = " …" if len(names) > 6 else ""
    return InvalidRequest(
        f"{path} holds {len(names)} models: {', '.join(names[:6])}{more}.",
        param="model_path",
        next_step=f"Name one: LLM_MODEL_PATH={path / names[0]}. Of one model in several "
        "quantisations, LOAD_IN_4BIT=true or LOAD_IN_8BIT=true says which.",
    )
