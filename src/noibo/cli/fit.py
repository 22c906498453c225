"""`noibo fit`: will a model run here, how large, and how fast: before it is loaded, or fetched."""

from __future__ import annotations

import json as jsonlib
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from noibo.cli.context import settings
from noibo.cli.note import Note

if TYPE_CHECKING:
    from noibo.engines.fit.ask import Ask
    from noibo.engines.memory.correction import Correction
    from noibo.hardware.machine import Hardware
    from noibo.settings import Settings


class Kv(StrEnum):
    """How the state of conversations is held."""

    f16 = "f16"
    q8_0 = "q8_0"


def fit(
    model: Annotated[
        str,
        typer.Argument(
            help="A model that is here, a GGUF file, or a name of the catalogue.",
            show_default=False,
        ),
    ],
    context: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Tokens for each caller; 0: as noibo would load it."
        ),
    ] = 0,
    parallel: Annotated[
        int, typer.Option(min=0, help="Callers at the same time; 0: as noibo would load it.")
    ] = 0,
    kv: Annotated[Kv | None, typer.Option(help="How conversations are held.")] = None,
    quant: Annotated[
        str | None, typer.Option(help="In another quantisation: Q4_K_M, q8_0, 5bit.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="On another machine: 'RTX 3060 12GB, 32GB'.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, in bytes and tokens per second.")
    ] = False,
) -> None:
    """Say whether a model will run here, how large and how fast."""
    from noibo.cli.fit_asked import Wanted, asked, require_held
    from noibo.cli.fit_view import as_json, print_fit
    from noibo.engines.fit.fit import predict
    from noibo.engines.memory.correction import NONE
    from noibo.engines.memory.machine import amount

    tree = settings()
    ask = asked(model, tree, Wanted(context, parallel, kv.value if kv else None))
    if quant is not None:
        from noibo.engines.fit.ask import in_quantisation

        ask = in_quantisation(ask, quant)
    require_held(ask, kv.value if kv else None)
    if hardware is not None:
        from noibo.hardware.described import described

        machine, correction = described(hardware), NONE
        ask = replace(ask, limits=replace(ask.limits, threads=0))  # those are of this machine
        remark = " ".join(machine.notes)
    else:
        ask, machine, correction, remark = _here(tree, ask)
    may = amount(tree.memory.budget, machine.memory_bytes, "memory.budget")
    found = predict(ask, machine, correction, may / max(machine.memory_bytes, 1))
    if json:
        print(jsonlib.dumps(as_json(found, correction, remark), indent=2))
        return
    print_fit(found, machine, correction, remark)


def _here(tree: Settings, ask: Ask) -> tuple[Ask, Hardware, Correction, str]:
    """This machine, what was measured of this very model on it, and what others taught. Another
    engine than llama.cpp may use GPUs that llama.cpp cannot."""
    from noibo.assembly import look_at_machine
    from noibo.engines.fit import pace
    from noibo.engines.fit.speeds import Speeds
    from noibo.engines.memory.book import Book
    from noibo.engines.memory.correction import Correction

    note = Note()
    found = look_at_machine(tree, note)
    note.clear()
    machine = found.hardware if ask.elsewhere else found.for_models
    seen = Speeds(tree.home / "speeds.json").seen(found.build)
    read, written = pace.learned(seen, machine)
    memory = Book(tree.home / "memory.json").correction(ask.model.engine)
    if ask.known in {"header", "engine"}:
        ask = _as_started(tree, ask, machine.memory_bytes)
    own = [one for one in seen if one.model == ask.model.name and ask.known == "header"]
    own = [one for one in own if bool(one.gpu_layers) == bool(pace.usable(machine))]
    ask = replace(
        ask,
        prefill=max((one.prefill for one in own), default=0.0) or None,
        decode=max((one.decode for one in own), default=0.0) or None,
    )
    remark = "" if ask.elsewhere else found.remark
    return ask, machine, Correction(memory, read, written), remark


def _as_started(tree: Settings, ask: Ask, memory: int) -> Ask:
    """A file that is here, as a worker of it would be started now: by how the model was used, and
    how fast its prompts were read; as it is where its engine is not installed."""
    from noibo.assembly import open_engines
    from noibo.engines.fit.ask import of_model
    from noibo.engines.memory.book import Book
    from noibo.engines.memory.conversations import worth_keeping
    from noibo.engines.memory.machine import amount
    from noibo.engines.supervision.plan import speed_key
    from noibo.engines.tuning import Tuning
    from noibo.errors import EngineError

    engine = open_engines(tree).get(ask.model.engine)
    if engine is None:
        return ask
    try:
        key = speed_key(engine, ask.model, ask.limits)
    except EngineError:
        return ask
    rate = Tuning(tree.home / "tuning.json").prefill_rate(key)
    use = Book(tree.home / "memory.json").use(ask.model.seat)
    most = amount(tree.memory.conversations, memory, "memory.conversations")
    kept = most if worth_keeping(use, rate).keep else 0
    return replace(of_model(ask.model, ask.limits, use, kept, ask.engine), rate=rate)
