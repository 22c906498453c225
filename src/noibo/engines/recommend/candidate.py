"""A model of the catalogue in one format: what is weighed against the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from noibo.engines.fit.ask import Ask, in_quantisation, of_choice
from noibo.engines.fit.fit import BUDGET
from noibo.engines.recommend.quality import trained_so
from noibo.engines.recommend.quantised import FORMATS, repositories
from noibo.engines.recommend.use import Use, suits
from noibo.errors import LicenceRefused
from noibo.modelstore.catalog import Catalog
from noibo.modelstore.catalog import tags as catalog_tags
from noibo.modelstore.catalog.choice import Choice
from noibo.modelstore.catalog.entry import CheckpointPlace, Model, Size
from noibo.modelstore.catalog.licences import Licence, classify, require_allowed
from noibo.modelstore.offer import Defaults
from noibo.settings import Engine as Limits

# What is looked at of all a model can be had in: below that answers suffer, F16 gains nothing.
OFFERED = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M")
OLDER = ("Q5_0", "Q4_0")  # for want of those above
PROJECTOR_BYTES = 10**9  # about what reads pictures, where the catalogue does not say
SERVED_BY = {"AWQ": "vllm", "GPTQ": "vllm"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a use, tokens for each of so many callers, which licences may be (empty:
    all), which engines there are, and which part of the memory models may take."""

    use: Use = "chat"
    context: int = 4096
    parallel: int = 1
    allowed: tuple[str, ...] = ()
    engines: frozenset[str] = frozenset({"llama_cpp"})
    budget: float = BUDGET


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
        size = model.size
        if size is None or not suits(model, wanted.use, wanted.context):
            continue
        licence = classify(model.licence)
        if not _may_be_used(model, licence, wanted.allowed):
            continue
        if "llama_cpp" in wanted.engines:
            yield from _in_gguf(catalog, model, size, wanted, licence)
        for form in FORMATS:
            repository = repositories(model).get(form)
            engine = SERVED_BY[form]
            if repository and engine in wanted.engines:
                ask = _asked(model, size, form, wanted)
                name = f"hf.co/{repository}"
                yield Candidate(model, name, form, engine, ask, licence)


def _in_gguf(
    catalog: Catalog, model: Model, size: Size, wanted: Wanted, licence: Licence
) -> Iterator[Candidate]:
    """Its GGUF files: a checkpoint is not what llama.cpp reads."""
    places = [one for one in size.places if not isinstance(one, CheckpointPlace)]
    has = {name: one for one in reversed(places) for name in one.has(catalog.publishers)}
    first: Ask | None = None
    for name in _worth_having(size, has):
        ask = _asked(model, size, name, wanted) if first is None else in_quantisation(first, name)
        first = first or ask
        reference = str(catalog_tags.canonical(model.family, size, name))
        gated = bool(getattr(has[name], "gated", False))
        yield Candidate(model, reference, name, "llama_cpp", ask, licence, gated)


def _worth_having(size: Size, has: Iterable[str]) -> list[str]:
    """The default first. A model that was trained in its few bits is not had in more."""
    here = set(has)
    if trained_so(size):
        return [size.default] if size.default in here else []
    offered = [name for name in OFFERED if name in here]
    if not {"Q5_K_M", "Q4_K_M"} & here:
        offered += [name for name in OLDER if name in here]
    default = [size.default] if size.default in here else []
    return list(dict.fromkeys((*default, *offered)))


def _asked(model: Model, size: Size, quantisation: str, wanted: Wanted) -> Ask:
    """As large as is wanted. A checkpoint is loaded with all that it has: what reads pictures too,
    whatever it is used for."""
    reference = catalog_tags.canonical(model.family, size, size.default)
    choice = Choice(reference, model, quantisation, (), Defaults(), ())
    ask = of_choice(choice, Limits(ctx_size=wanted.context, parallel=wanted.parallel))
    if wanted.use == "vision" or (quantisation in SERVED_BY and "vision" in model.abilities):
        whole = replace(ask.model, bytes=ask.model.bytes + PROJECTOR_BYTES)
        ask = replace(ask, model=whole, projector_bytes=PROJECTOR_BYTES)
    return ask


def _may_be_used(model: Model, licence: Licence, allowed: tuple[str, ...]) -> bool:
    """What the settings refuse is not recommended."""
    try:
        require_allowed(licence, allowed, model.name)
    except LicenceRefused:
        return False
    return True
