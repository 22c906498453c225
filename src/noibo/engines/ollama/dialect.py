"""How an Ollama is asked: by its own API, with a context that holds what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from noibo.engines import line
from noibo.engines.engine import plain
from noibo.engines.ollama import asked as ollama_asked
from noibo.engines.ollama import told as ollama_told
from noibo.engines.ollama.asked import Asked
from noibo.engines.ollama.facts import REFUSES_SINCE, SCORES_SINCE, Facts, full
from noibo.engines.ollama.told import Lines, Teller
from noibo.engines.ollama.window import Window
from noibo.engines.remote.answer import Document, Told
from noibo.engines.remote.dialect import Fetch, Question
from noibo.errors import EngineRefused, NotSupported
from noibo.wire import openai
from noibo.wire.body import UNREADABLE, Json

CHAT: Final = "/v1/chat/completions"
COMPLETION: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
LOAD: Final = "/api/generate"  # without a prompt: have the model loaded, or unloaded
MOST_INPUT: Final = 8192  # tokens of a text to be embedded, where the model was trained for more


class Ollama:
    """One model of one Ollama. What it says of the model is asked once."""

    looks = "/api/tags"

    def __init__(self, model: str, context: int = 0) -> None:
        self.model = model
        self._context = context  # what is set for it; 0: as is needed
        self._facts: Facts | None = None
        self._window = Window(0, False)

    def address(self, url: str, path: str) -> str:
        return url.removesuffix("/v1") + path

    def found(self, said: Any) -> str:
        names = [full(str(one["name"])) for one in said["models"]]
        there = "" if full(self.model) in names else f", {self.model} not among them"
        return f"{len(names)} model{'s' * (len(names) != 1)}{there}"

    async def question(
        self, path: str, fields: Mapping[str, Any], fetch: Fetch, keep_alive: float | None
    ) -> Question:
        if path not in {CHAT, COMPLETION, EMBEDDINGS, LOAD}:
            raise NotSupported(
                f"{self.model} is a model of Ollama, whose API has nothing like {path}.",
                next_step="Ask a model that runs in noibo.",
            )
        stays: Json = {} if keep_alive is None else {"keep_alive": _seconds(keep_alive)}
        if path == LOAD and keep_alive == 0:
            return self._load(stays)
        facts = self._facts or await self._look(fetch)
        if path == LOAD:  # as large as the first request will want it
            return self._load(stays | {"options": {"num_ctx": self._window.size}})
        if path == EMBEDDINGS:
            return self._vectors(fields, facts, stays)
        asked = ollama_asked.read(path, fields, self.model, levels=facts.levels)
        asked.body |= stays
        if asked.tops is not None and facts.version < SCORES_SINCE:
            raise NotSupported(
                "This Ollama says no log-probabilities: it is too old.",
                next_step="Update it to 0.12.11 or newer.",
            )
        return self._generation("/api/chat" if asked.chat else "/api/generate", asked)

    async def _look(self, fetch: Fetch) -> Facts:
        named = msgspec.json.encode({"model": self.model})
        shown = await _document(await fetch("/api/show", named))
        version = await _document(await fetch("/api/version", b""))
        running = await _document(await fetch("/api/ps", b""))
        if self._facts is not None:  # others asked meanwhile, and the window may have grown
            return self._facts
        facts = self._facts = Facts.of(version, shown, running, self.model)
        refuses = facts.version >= REFUSES_SINCE
        loaded = max(facts.loaded, facts.num_ctx)
        self._window = Window.of(facts.trained, refuses, loaded, self._context)
        return facts

    def _load(self, more: Json) -> Question:
        body = {"model": self.model, "stream": False} | more

        def tell(answer: line.Response) -> line.Response:
            return answer if answer.status == 200 else Told(answer, Refusal(answer.status, 0))

        return Question(LOAD, msgspec.json.encode(body), tell)

    def _generation(self, path: str, asked: Asked, tokens: int = 0) -> Question:
        window = self._window
        num_ctx = window.hold(asked.text, asked.images, asked.limit)
        teller = Teller(asked, self.model, num_ctx)

        def tell(answer: line.Response) -> line.Response:
            if answer.status != 200:
                return Told(answer, Refusal(answer.status, num_ctx, tokens))
            if asked.streamed:
                return Told(answer, Lines(teller))
            return Told(answer, Document(teller.whole))

        def otherwise(status: int, said: bytes) -> Question | None:
            error = ollama_told.error_of(status, said)
            if not ollama_told.is_too_long(error):
                return None
            needs = error["error"].get("n_prompt_tokens", 0)
            room = asked.limit if asked.limit is not None else 0
            larger = window.size > num_ctx or window.grow(needs + room if needs else 0)
            return self._generation(path, asked) if larger else None

        return Question(path, asked.native(num_ctx), tell, otherwise)

    def _vectors(self, fields: Mapping[str, Any], facts: Facts, stays: Json) -> Question:
        body = ollama_asked.inputs(fields, self.model) | stays
        longest = self._context or min(facts.trained or MOST_INPUT, MOST_INPUT)
        body["options"] = {"num_ctx": longest}
        packed = plain(fields.get("encoding_format")) == "base64"

        def tell(answer: line.Response) -> line.Response:
            if answer.status != 200:
                return Told(answer, Refusal(answer.status, longest))
            shape = Document(lambda said: ollama_told.vectors(said, self.model, packed=packed))
            return Told(answer, shape)

        return Question("/api/embed", msgspec.json.encode(body), tell)


class Refusal(Document):
    """An error answer in OpenAI's shape; of one that is too long with both numbers."""

    def __init__(self, status: int, num_ctx: int, tokens: int = 0) -> None:
        super().__init__(lambda said: said)
        self._status, self._window = status, (num_ctx, tokens)

    def end(self) -> bytes:
        error = ollama_told.error_of(self._status, bytes(self._said))
        if ollama_told.is_too_long(error):
            num_ctx, tokens = self._window
            said = error["error"]
            said["type"] = openai.TOO_LONG
            said.setdefault("n_ctx", num_ctx)
            said.setdefault("n_prompt_tokens", max(tokens, num_ctx + 1))
        return msgspec.json.encode(error)


async def _document(response: line.Response) -> Json:
    """What it says of itself. Raises `EngineRefused` with its reason; what an old one has not is
    empty. What says nothing of the model (it has no time, …) does not come here."""
    async with response:
        said = await response.read()
    if response.status == 404 and b"not found" not in said.replace(b"page not found", b""):
        return {}
    if response.status != 200:
        message = ollama_told.error_of(response.status, said)["error"].get("message", "")
        refused = EngineRefused(f"Ollama says: {message}.", status=response.status)
        refused.next_step = "`ollama list` shows its models, `ollama pull` fetches one."
        raise refused
    try:
        return msgspec.json.decode(said, type=dict[str, Any])
    except UNREADABLE:
        return {}


def _seconds(keep_alive: float) -> float | int:
    return -1 if keep_alive == float("inf") else keep_alive
