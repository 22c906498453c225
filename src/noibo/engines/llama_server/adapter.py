"""The llama_server engine: a llama-server that the user has, with a GPU for instance, in a child
process as all workers. What it takes is estimated as for noibo's own llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from noibo import settings
from noibo.engines.engine import Launch, Model, Speed, Support, Verb
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.llama_cpp.devices import EngineDevices
from noibo.engines.llama_server import binary
from noibo.engines.memory.size import Size


class LlamaServer(LlamaCpp):
    """`path`: of the program; empty: the one on PATH."""

    name = "llama_server"
    remedy = "Build llama.cpp on this machine, or take the build for its processor."
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NATIVE,
        Verb.SCORE: Support.NONE,  # that is done by the library, which a program does not show
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def __init__(self, path: str = "") -> None:
        super().__init__(EngineDevices(ask=lambda: binary.usable(binary.find(self._path))))
        self._path = path

    def available(self) -> str:
        return str(binary.build_of(binary.find(self._path)))

    def build(self) -> str:
        program = binary.find(self._path)
        return f"{program} {program.stat().st_mtime_ns}"

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        launch = super().launch(model, size, limits, speed)
        program = binary.find(self._path)
        build = binary.build_of(program)
        config = {**launch.config, "program": str(program), "build": asdict(build)}
        placement = {**launch.placement, "program": str(build)}
        return replace(
            launch,
            module="noibo.engines.llama_server.process",
            config=config,
            placement=placement,
            runs=tuple(binary.runs(program)),
        )
