"""OpenVINO: encoders in safetensors, for vectors; the fastest here on a processor by far.

It only embeds. Models that write are run by other engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from noibo import settings
from noibo.engines.engine import Fields, Launch, Model, Speed, Support, Verb
from noibo.engines.hosted import installed
from noibo.engines.hosted.folder import ENCODERS, Folder, files_of, folder_of
from noibo.engines.hosted.memory import FLOAT, MIB, TOKENS
from noibo.engines.memory.size import Need, Size, Use
from noibo.engines.tuning import threads_for
from noibo.errors import NotSupported

PROCESS: Final = 190 * MIB  # Python, OpenVINO, and its compiler; measured
A_WORD: Final = 400  # bytes of the tokenizer for each of its pieces; measured
STORED: Final = 2  # bytes of a number in the graph
USUAL: Final = 512  # tokens of an input, where the model does not say


class OpenVino:
    """Encoders."""

    name = "openvino"
    several = False
    foreign = False
    remedy = "Install it anew: " + installed.INSTALL_OPENVINO
    verbs: Mapping[Verb, Support] = {
        Verb.GENERATE: Support.NONE,
        Verb.SCORE: Support.NONE,
        Verb.EMBED: Support.NATIVE,
        Verb.TOKENISE: Support.NATIVE,
        Verb.CANCEL: Support.NATIVE,
    }

    def serving(self, model: Model, verb: Verb) -> Model:
        if self.verbs[verb] is Support.NONE:
            raise NotSupported(
                f"{model.name} only embeds here.",
                next_step="Ask it at /v1/embeddings, or take a model that writes.",
            )
        return replace(model, verb=Verb.EMBED, context=0)

    def available(self) -> str:
        return installed.find_openvino()

    def build(self) -> str:
        return self.available()

    def sizes(
        self, model: Model, limits: settings.Engine, use: Use, kept_bytes: int
    ) -> Sequence[Size]:
        longest = self._folder(model).positions or model.trained_context or USUAL
        return [Size(min(limits.ctx_size or longest, longest), 1)]

    def need(self, model: Model, size: Size, limits: settings.Engine) -> Need:
        folder = self._folder(model)
        parameters = model.parameters or model.bytes // STORED
        words = folder.vocabulary * folder.width
        # matrices as they are stored, and again in the order they are multiplied in; measured
        weights = FLOAT * words + 2 * STORED * max(parameters - words, 0)
        rows = max(TOKENS, size.context)
        compute = rows * FLOAT * (2 * folder.inner + 8 * folder.width)
        return Need(weights, 0, 0, PROCESS + A_WORD * folder.vocabulary, kept=2 * compute)

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        self.available()
        if model.verb is not Verb.EMBED:
            raise NotSupported(
                f"{model.name} cannot write: it is made for vectors.",
                next_step="Ask it at /v1/embeddings.",
            )
        folder = self._folder(model)
        placement = {
            "device": "cpu",
            "threads": threads_for(limits.threads),
            "ctx_size": size.context,
            "parallel": 1,
            "longest_input": size.context,
            "pooling": folder.pooling,
        }
        config = placement | {
            "engine": self.name,
            "alias": model.name,
            "path": str(model.path),
        }
        return Launch(
            "noibo.engines.hosted.openvino_process",
            config,
            size,
            self.need(model, size, limits),
            reads=files_of(model.path) if model.path else (),
            placement=placement,
        )

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def constrain(self, fields: Fields, model: Model) -> None:
        pass

    def prepare(self, fields: Fields, *, streamed: bool) -> None:
        pass

    def is_progress(self, events: bytes) -> bool:
        return False

    def _folder(self, model: Model) -> Folder:
        folder = folder_of(model) if model.path and model.format == "safetensors" else None
        if folder is None or folder.kind not in ENCODERS or folder.writes:
            raise NotSupported(
                f"{model.name} is no encoder that OpenVINO runs here.",
                next_step=f"Those are {', '.join(ENCODERS)}, as checkpoints in safetensors.",
            )
        return folder
