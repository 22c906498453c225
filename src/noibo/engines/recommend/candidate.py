"""A model of the catalogue in one format: what is weighed against the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from noibo.engines.fit.ask import Ask, of_choice
from noibo.engines.recommend.quantised import FORMATS, repositories
from noibo.engines.recommend.use import Use, suits
from noibo.errors import LicenceRefused
from noibo.modelstore.catalog import Catalog
from noibo.modelstore.catalog import tags as catalog_tags
from noibo.modelstore.catalog.choice import Choice
from noibo.modelstore.catalog.entry import CheckpointPlace, Model
from noibo.modelstore.catalog.licences import Licence, classify, require_allowed
from noibo.modelstore.offer import Defaults
from noibo.modelstore.reference import Reference
from noibo.settings import Engine as Limits

# What is looked at of all a model can be had in: below that answers suffer, F16 gains nothing.
OFFERED = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "MXFP4")
PROJECTOR_BYTES = 10**9  # about what reads pictures, where the catalogue does not say
SERVED_BY = {"AWQ": "vllm", "GPTQ": "vllm"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a use, tokens for each of so many callers, which licences may be (empty:
    all), and which engines there are."""

    use: Use = "chat"
    context: int = 4096
    parallel: int = 1
    allowed: tuple[str, ...] = ()
    engines: frozenset[str] = frozenset({"llama_cpp"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant. `name` is what is typed for it, `command` fetches it; `engine` runs it."""

    model: Model
    name: str
    quantisation: str
    engine: str
    ask: Ask
    licence: Licence
    gated: bool = False

    @property
    def command(self) -> str:
        return f"noibo pull {self.name}"


def candidates(catalog: Catalog, wanted: Wanted) -> Iterator[Candidate]:
    """Every variant that suits what is wanted and that one of the engines runs."""
    for model in catalog.models:
        if not suits(model, wanted.use, wanted.context):
            continue
        if not _may_be_used(model, wanted.allowed):
            continue
        for choice in _choices(catalog, model):
            if "llama_cpp" in wanted.engines:
                yield _made(choice, str(choice.reference), "llama_cpp", wanted)
        for form in FORMATS:
            repository = repositories(model).get(form)
            engine = SERVED_BY[form]
            if repository and engine in wanted.engines:
                yield _made(_as(model, form), f"hf.co/{repository}", engine, wanted)


def _choices(catalog: Catalog, model: Model) -> Iterator[Choice]:
    """The GGUF files of it: a checkpoint is not what llama.cpp reads."""
    if model.size is None:
        return
    places = [one for one in model.size.places if not isinstance(one, CheckpointPlace)]
    has = {name for place in places for name in place.has(catalog.publishers)}
    for name in dict.fromkeys((model.size.default, *OFFERED)):
        if name in has and (choice := catalog.find(_reference(model, name))) is not None:
            yield choice


def _reference(model: Model, quantisation: str) -> Reference:
    assert model.size is not None  # noqa: S101 - `_choices` looked
    return catalog_tags.canonical(model.family, model.size, quantisation)


def _as(model: Model, form: str) -> Choice:
    """The model in another engine's format, for what its size is to be reckoned by."""
    assert model.size is not None  # noqa: S101 - only sizes have repositories
    reference = catalog_tags.canonical(model.family, model.size, model.size.default)
    return Choice(reference, model, form, (), Defaults(), ())


def _made(choice: Choice, name: str, engine: str, wanted: Wanted) -> Candidate:
    ask = of_choice(choice, Limits(ctx_size=wanted.context, parallel=wanted.parallel))
    if wanted.use == "vision":
        whole = replace(ask.model, bytes=ask.model.bytes + PROJECTOR_BYTES)
        ask = replace(ask, model=whole, projector_bytes=PROJECTOR_BYTES)
    gated = bool(choice.origins) and all(origin.gated for origin in choice.origins)
    licence = classify(choice.licence)
    return Candidate(choice.model, name, choice.quantisation or "", engine, ask, licence, gated)


def _may_be_used(model: Model, allowed: tuple[str, ...]) -> bool:
    """What the settings refuse is not recommended."""
    try:
        require_allowed(classify(model.licence), allowed, model.name)
    except LicenceRefused:
        return False
    return True
