"""The child process that scores texts with llama.cpp's library, over HTTP on loopback.

`POST /score` takes `prompts` (texts or lists of token ids), `top` (how many likely tokens to name),
`after` (say also what would come next), and `each` (log-probabilities that somebody will be told
for every token) with the `most` of them that there may be: more are refused before any is made. It
answers in JSON lines, one for each prompt as it is done, so that a long list needs no memory here
and a hang-up ends the work within one batch:

    {"index", "tokens", "logprobs", "ranks", "likeliest", "after", "reused", "pieces", "ends"}

`logprobs`, `ranks` and `likeliest` have an entry for each token, null for the first. `pieces` are
the bytes of every token named, each byte as the character of that number. A line with `error` is
the last.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from noibo.engines.child import announce, fail, read_config, ready
from noibo.engines.llama_cpp import api
from noibo.engines.llama_cpp.model import CannotLoad, DecodeFailed, LlamaModel, Token, Vocabulary
from noibo.engines.llama_cpp.score import Asked, Chance, Scored, Scorer, Stopped

Json = dict[str, Any]
T = TypeVar("T")
LARGEST_BODY = 2**30  # what may come is bounded by our own server


class Refused(Exception):
    """A request that cannot be served; `details` go into the error's body."""

    def __init__(self, message: str, kind: str = "invalid_request_error", **details: Any) -> None:
        super().__init__(message)
        self.body = {"message": message, "type": kind, "code": 400, "param": "prompt", **details}


class _Request(msgspec.Struct):
    prompts: list[str | list[int]]
    top: int = 0
    after: bool = False
    each: int = 1
    most: int = 2**62


@dataclass(frozen=True, slots=True)
class Job:
    """One request, read and checked."""

    texts: Sequence[Asked]
    top: int
    stop: threading.Event


class ScoreServer:
    """Answers one request after the other: a second one would only slow the first."""

    library = "llama.cpp"

    def __init__(
        self, model: LlamaModel, key: str, thread: ThreadPoolExecutor | None = None
    ) -> None:
        self._model = model
        self._key = key
        self._scorer = Scorer(model)
        self._thread = thread or ThreadPoolExecutor(1)
        self._busy = 0

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._check_key], client_max_size=LARGEST_BODY)
        app.router.add_post("/score", self._score)
        app.router.add_get("/slots", self._slots)
        return app

    @web.middleware
    async def _check_key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return web.json_response({"error": {"message": "Invalid API Key"}}, status=401)
        response: web.StreamResponse = await handler(request)
        return response

    async def _slots(self, request: web.Request) -> web.Response:
        return web.json_response([{"id": 0, "is_processing": self._busy > 0}])

    async def _score(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._busy += 1
        stop = threading.Event()
        try:
            job = await self._work(lambda: self._read(body, stop))
            return await self._answer(request, job)
        except Refused as refused:
            return web.json_response({"error": refused.body}, status=400)
        finally:
            stop.set()
            self._busy -= 1

    async def _answer(self, request: web.Request, job: Job) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines = self._lines(job)
        try:
            while line := await self._work(lambda: next(lines, b"")):
                await response.write(line)
        finally:
            self._thread.submit(lines.close)  # after the batch that may still run
        return response

    async def _work(self, call: Callable[[], T]) -> T:
        """Everything that touches the model happens in one thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _read(self, body: bytes, stop: threading.Event) -> Job:
        try:
            asked = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise Refused(f"The request cannot be read: {exc}.") from exc
        texts = [self._asked(number, prompt, asked) for number, prompt in enumerate(asked.prompts)]
        _require_few(texts, asked)
        return Job(texts, asked.top, stop)

    def _asked(self, number: int, prompt: str | list[int], asked: _Request) -> Asked:
        vocabulary = self._model.vocabulary
        if isinstance(prompt, str):
            prompt = vocabulary.tokenise(prompt)
        if not prompt:
            raise Refused(f"Prompt {number} is empty: there is no token to score.")
        for token in prompt:
            if not 0 <= token < vocabulary.size:
                raise Refused(
                    f"Prompt {number} has the token id {token}; this model's are 0 to "
                    f"{vocabulary.size - 1}."
                )
        if len(prompt) + asked.after > self._model.context_length:
            raise Refused(
                f"Prompt {number} has {len(prompt)} tokens{' and one more' * asked.after}; the "
                f"context of this model is {self._model.context_length} tokens here.",
                kind="exceed_context_size_error",
                n_prompt_tokens=len(prompt),
                n_ctx=self._model.context_length,
                param=f"prompt[{number}]",
            )
        return Asked(tuple(prompt), asked.after)

    def _lines(self, job: Job) -> Generator[bytes, None, None]:
        try:
            for number, scored in self._scorer.score(job.texts, job.top, job.stop):
                line = _said(number, scored, job.top, self._model.vocabulary)
                yield msgspec.json.encode(line) + b"\n"
        except Stopped:
            return
        except DecodeFailed as exc:
            error = {"message": f"{self.library} failed: {exc}."}
            yield msgspec.json.encode({"error": error}) + b"\n"


def _require_few(texts: Sequence[Asked], asked: _Request) -> None:
    tokens = sum(len(text.tokens) for text in texts)
    if tokens * asked.each > asked.most:
        raise Refused(
            f"The prompts have {tokens:,} tokens; with {asked.each:,} log-probabilities told of "
            f"each these are {tokens * asked.each:,}, and at most {asked.most:,} are told at once. "
            "Send the prompts in several requests, or ask for fewer."
        )


def _said(number: int, scored: Scored, top: int, vocabulary: Vocabulary) -> Json:
    """One line of the answer."""
    tokens, seen = scored.asked.tokens, scored.seen
    chances: list[Chance | None] = [None]
    chances += [seen[i].chances[token] for i, token in enumerate(tokens[1:])]
    after = seen[-1].likeliest if scored.asked.after else None
    likeliest = [one.likeliest[:top] for one in seen[: len(tokens) - 1]]
    named = {*tokens, *(token for row in [*likeliest, after or []] for token, _ in row)}
    return {
        "index": number,
        "tokens": tokens,
        "logprobs": [chance and chance.logprob for chance in chances],
        "ranks": [chance and chance.rank for chance in chances],
        "likeliest": [None, *likeliest],
        "after": after,
        "reused": scored.reused,
        "pieces": {str(token): vocabulary.piece(token).decode("latin-1") for token in named},
        "ends": [token for token in named if vocabulary.ends(token)],
    }


def _load(config: Json) -> LlamaModel:
    """The model, ready to be asked. Ends the process with the reason where there is none."""
    import xllamacpp

    announce("progress", note=f"loading {config['alias']}")
    try:
        model = LlamaModel(api.bind(xllamacpp.xllamacpp.__file__), config)
    except api.Unknown as exc:
        fail(
            f"xllamacpp {xllamacpp.__version__} is not laid out as this noibo knows it: {exc}. "
            "Prompts cannot be scored with it; install another version, or a newer noibo."
        )
    except CannotLoad as exc:
        fail(f"llama.cpp could not load {exc}")
    try:
        model.read([Token(0, 0)])  # all of the model is in memory when it is said to be ready
    except DecodeFailed as exc:
        fail(f"llama.cpp cannot score with {config['path']}: {exc}")
    model.clear()
    return model


async def _serve(config: Json) -> None:
    server = ScoreServer(_load(config), config["api_key"])
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready(config, url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(read_config()))
