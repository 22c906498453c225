"""What `noibo fit` is asked about: a file, a folder, a model that is here, or one of a name that is
known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from noibo.assembly import open_engines, open_lookup
from noibo.engines.engine import Model
from noibo.engines.fit.ask import Ask, of_choice, of_model
from noibo.engines.fit.by_engine import is_on_gpus
from noibo.engines.hosted.folder import FOLDER, Folder
from noibo.engines.llama_cpp.adapter import Q8_0_BLOCK
from noibo.engines.recommend.candidate import SERVED_BY
from noibo.engines.recommend.quantised import repositories
from noibo.engines.supervision.plan import limits_of
from noibo.errors import ModelNotFound, ModelPathNotFound, UnknownModel, UsageError
from noibo.modelstore import checkpoint
from noibo.modelstore.catalog import Catalog, load
from noibo.modelstore.catalog.choice import Choice
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.offer import Defaults
from noibo.modelstore.parts import MAX_PARTS, Part
from noibo.modelstore.reference import DEFAULT_HOST, Reference
from noibo.settings import Engine, KvType, Settings

HUB = "hf.co"
NAMED = 5  # parts that are named, of those that are missing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say of the size; 0 and None: nothing."""

    context: int
    parallel: int
    kv: KvType | None

    def of(self, engine: Engine) -> Engine:
        """The settings with that."""
        return replace(
            engine,
            ctx_size=self.context or engine.ctx_size,
            parallel=self.parallel or engine.parallel,
            kv_type=self.kv or engine.kv_type,
        )


def asked(name: str, tree: Settings, wanted: Wanted) -> Ask:
    """The file or folder, the model that is here, or what is known of its name. Raises
    `UnknownModel` with the nearest names, and what is wrong with a file."""
    path = Path(name)
    if name.lower().endswith(".gguf") or (path.is_file() and "/" in name):
        return of_model(_file(path), wanted.of(tree.engine))
    if _is_folder(name):
        return _run_here(tree, _folder(path), wanted.of(tree.engine))
    try:
        found = asyncio.run(open_lookup(tree).resolve(name))
    except ModelNotFound:
        return _known(name, tree, wanted)
    return _run_here(tree, found, wanted.of(limits_of(tree, found.name)))


def require_held(ask: Ask, kv: KvType | None) -> None:
    """Raises `UsageError` where conversations cannot be held as is asked (`kv`: by an option)."""
    plain = "Leave it at f16: `--kv f16`."
    if ask.elsewhere:
        if kv == "q8_0" and ask.engine and not is_on_gpus(ask.engine, ask):
            raise UsageError(
                f"{ask.engine.name} holds conversations in its own way: q8_0 is for llama.cpp, and "
                "for vLLM on a GPU.",
                next_step=plain,
            )
        return
    if ask.kv_type == "f16" or ask.may_round or ask.api_only:
        return
    info = ask.model.info
    why = "how long its heads are is not known"
    if info and info.state and info.key_length and info.value_length:
        why = f"its keys have {info.key_length} and its values {info.value_length} a head"
    raise UsageError(
        f"{ask.model.name} cannot hold conversations as q8_0: that has blocks of {Q8_0_BLOCK} "
        f"numbers, and {why}.",
        next_step=plain,
    )


def _run_here(tree: Settings, model: Model, limits: Engine) -> Ask:
    """By the engine that would run it."""
    engine = open_engines(tree).get(model.engine)
    if model.path is None and (engine is None or engine.foreign):
        return Ask(model, 0, known="nothing", api_only=True)
    return of_model(model, limits, engine=engine)


# ── names that are not here ─────────────────────────────────────────────────


def _known(name: str, tree: Settings, wanted: Wanted) -> Ask:
    """A name of the catalogue, or one that `noibo recommend` prints of a format for cards."""
    reference, catalog = Reference.parse(name), load()
    if (choice := _for_cards(catalog, reference)) and choice.quantisation:
        ask = of_choice(choice, wanted.of(limits_of(tree, str(reference))))
        model = replace(ask.model, engine=SERVED_BY[choice.quantisation])
        return replace(ask, model=model, others=(), elsewhere=True)
    try:
        choice = catalog.require(reference)
    except UnknownModel:
        if reference.host == DEFAULT_HOST:
            raise
        raise UnknownModel(
            f"What is in {name} is not known before it is fetched.",
            next_step=f"`noibo pull {name}`, then ask again; or `noibo search` for a model whose "
            "size is known.",
        ) from None
    ask = of_choice(choice, wanted.of(limits_of(tree, str(choice.reference))))
    return replace(ask, others=catalog.quantisations(choice.model))


def _for_cards(catalog: Catalog, reference: Reference) -> Choice | None:
    """A repository of the hub with a model of the catalogue in AWQ or GPTQ."""
    wanted = f"{reference.namespace}/{reference.name}"
    for model in catalog.models if reference.host == HUB else ():
        for form, repository in repositories(model).items():
            if repository.lower() == wanted:
                return Choice(reference, model, form, (), Defaults(), ())
    return None


# ── files and folders that are in no store ──────────────────────────────────


def _file(path: Path) -> Model:
    """A GGUF file; of one in parts, all of them, whichever was named."""
    files = _parts(path)
    info = inspect_model(files[0])
    if info.kind != "model":
        raise UsageError(
            f"{path.name} is no model: it is of the kind {info.kind}.",
            next_step="Name the model that it belongs to.",
        )
    size = sum(one.stat().st_size for one in files)
    parameters = round(info.parameters * size / max(info.file_size, 1))
    trained = info.context_length or 0
    return Model(path.name, "llama_cpp", files[0], parameters, trained, info=info, bytes=size)


def _parts(path: Path) -> list[Path]:
    part = Part.of(str(path))
    if part is None:
        return [path]
    if not 1 <= part.number <= part.count <= MAX_PARTS:
        raise UsageError(
            f"{path.name} is no part of a model that could be: number {part.number} of "
            f"{part.count} parts.",
            next_step="Name the first of its files: NAME-00001-of-0000N.gguf.",
        )
    files = [Path(part.path(number)) for number in range(1, part.count + 1)]
    missing = [one.name for one in files if not one.exists()]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ModelPathNotFound(
            f"{path.name} is one of {part.count} parts, and these are not in {path.parent}: "
            f"{', '.join(missing[:NAMED])}{more}.",
            next_step="Put all parts into one folder: llama.cpp loads all of them or none.",
        )
    return files


def _is_folder(name: str) -> bool:
    """A path and no name: names have slashes too."""
    path = Path(name)
    return path.is_dir() and (name.endswith("/") or name.startswith(".") or path.is_absolute())


def _folder(path: Path) -> Model:
    """A checkpoint, run by the engine that runs such ones. Raises `BadModelFile` for what is
    none."""
    said = Folder.of(path)
    files = {one.name: one for one in path.iterdir() if one.is_file()}
    facts = checkpoint.describe(files)
    return Model(
        path.resolve().name,
        said.engine,
        path,
        facts.parameters or 0,
        facts.context_length or 0,
        format=facts.format,
        bytes=sum(one.stat().st_size for one in files.values() if one.suffix == ".safetensors"),
        options={FOLDER: said},
    )
