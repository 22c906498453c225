"""The worker shell: OpenAI's protocol, and the few routes more that noibo asks of its workers,
round an engine that is a Python library.

One event loop, and one thread in which everything happens that touches the model: answers are given
one after the other. A caller who hangs up ends its work within one token, or one batch of its
prompt. Tokens are counted beside that, without waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from noibo.engines.hosted.asked import Asked, chat_text, prompt_of, tokens_in
from noibo.engines.hosted.chunks import Chunks, failed
from noibo.engines.hosted.drawing import Way
from noibo.engines.hosted.python_model import Json, Vocabulary
from noibo.engines.hosted.reader import Reader, Stopped
from noibo.engines.hosted.speech import Turn
from noibo.engines.hosted.vectors import Vectors
from noibo.engines.hosted.wanted import Refused, Wanted, document, read
from noibo.engines.hosted.writing import Ask, End, Event, Progress, Written, require_room, write

T = TypeVar("T")
LARGEST_BODY = 2**30  # what may come is bounded by our own server
Handler = Callable[[web.Request], Any]


class Shell:
    """Answers for one model. `reader`: of one that writes; `vectors`: of one that embeds."""

    def __init__(
        self, config: Json, reader: Reader | None = None, vectors: Vectors | None = None
    ) -> None:
        self._alias: str = config["alias"]
        self._engine: str = config["engine"]
        self._key: str = config["api_key"]
        self._reader = reader
        self._vectors = vectors
        self.thread = ThreadPoolExecutor(1, "model")
        self._busy = 0
        # Requests under way: ours, and those of what else asks the model.
        self.working: list[Callable[[], int]] = [lambda: self._busy]

    def app(self) -> web.Application:
        """Its routes. What it cannot do has none but one that says so."""
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_BODY)
        post, get = app.router.add_post, app.router.add_get
        get("/health", self._health)
        get("/slots", self._slots)
        get("/lora-adapters", self._adapters)
        get("/props", self._props)
        post("/tokenize", self._tokenise)
        post("/detokenize", self._detokenise)
        if self._vectors is not None:
            post("/v1/embeddings", self._embed)
        if self._reader is not None:
            post("/v1/chat/completions", self._chat)
            post("/v1/chat/completions/input_tokens", self._count)
            post("/apply-template", self._apply_template)
            post("/v1/completions", self._complete)
            post("/completion", self._complete_at_once)
        return app

    @property
    def _vocabulary(self) -> Vocabulary:
        if self._vectors is not None:
            return self._vectors.model.vocabulary
        return self._writer.model.vocabulary

    @property
    def _writer(self) -> Reader:
        if self._reader is None:
            raise Refused(f"{self._alias} is loaded here to embed.", status=501)
        return self._reader

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in who has the key; says what is refused."""
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return web.json_response({"error": {"message": "Invalid API Key"}}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
        except Refused as refused:
            return web.json_response({"error": refused.body}, status=refused.status)
        except web.HTTPNotFound:
            message = f"The engine {self._engine} has no {request.path}."
            error = {"message": message, "type": "not_supported_error", "code": 501}
            return web.json_response({"error": error}, status=501)
        return response

    def _failure(self, exc: Exception) -> Refused:
        """What the library raised, as an answer; the log gets all of it."""
        traceback.print_exception(exc)
        return Refused(f"{self._engine} failed: {exc}", status=500, kind="server_error")

    async def in_thread(self, call: Callable[[], T]) -> T:
        """The result of what touches the model."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, call)

    # ── looking ─────────────────────────────────────────────────────────────

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _slots(self, request: web.Request) -> web.Response:
        return web.json_response([{"id": 0, "is_processing": any(one() for one in self.working)}])

    async def _adapters(self, request: web.Request) -> web.Response:
        return web.json_response([])

    async def _props(self, request: web.Request) -> web.Response:
        model = self._vectors.model if self._vectors is not None else self._writer.model
        return web.json_response(
            {
                "model_alias": self._alias,
                "total_slots": 1,
                "build_info": self._engine,
                "default_generation_settings": {"n_ctx": model.context},
            }
        )

    async def _tokenise(self, request: web.Request) -> web.Response:
        asked = document(await request.read())
        vocabulary = self._vocabulary
        tokens = await asyncio.to_thread(tokens_in, asked, vocabulary)
        if asked.get("with_pieces"):
            told = [{"id": one, "piece": _piece(vocabulary.piece(one))} for one in tokens]
            return web.json_response({"tokens": told})
        return web.json_response({"tokens": tokens})

    async def _detokenise(self, request: web.Request) -> web.Response:
        asked = document(await request.read())
        tokens, size = asked.get("tokens") or [], self._vocabulary.size
        if not all(type(one) is int and 0 <= one < size for one in tokens):
            raise Refused(f"tokens: ids are from 0 to {size - 1}.", "tokens")
        said = b"".join(map(self._vocabulary.piece, tokens))
        return web.json_response({"content": said.decode(errors="replace")})

    async def _apply_template(self, request: web.Request) -> web.Response:
        wanted = read(await request.read(), self._engine)
        text = await asyncio.to_thread(chat_text, wanted, self._writer.model.vocabulary)
        return web.json_response({"prompt": text})

    async def _count(self, request: web.Request) -> web.Response:
        wanted = read(await request.read(), self._engine)
        prompt = await asyncio.to_thread(prompt_of, wanted, self._writer.model.vocabulary)
        return web.json_response({"input_tokens": len(prompt.tokens)})

    # ── writing ─────────────────────────────────────────────────────────────

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        wanted = read(await request.read(), self._engine)
        if wanted.messages is None:
            raise Refused("messages is missing.", "messages")
        asked = await self._prepared(wanted, "messages")
        turn = Turn(thinking=asked.thinking, calls=wanted.calls)
        return await self._stream(request, wanted, asked, turn)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        wanted = read(await request.read(), self._engine)
        asked = await self._prepared(wanted, "prompt")
        return await self._stream(request, wanted, asked, None)

    async def _complete_at_once(self, request: web.Request) -> web.Response:
        """llama.cpp's own route, as far as noibo itself asks it: for the proof of a new worker."""
        wanted = read(await request.read(), self._engine)
        if wanted.stream:
            raise Refused("stream: here only at /v1/completions.", "stream")
        asked = await self._prepared(wanted, "prompt")
        said, end = "", None
        async with contextlib.aclosing(self._events(wanted, asked)) as events:
            async for event in events:
                said += event.text if isinstance(event, Written) else ""
                end = event if isinstance(event, End) else end
        return web.json_response({"content": said, "timings": end.timings if end else {}})

    async def _prepared(self, wanted: Wanted, param: str) -> Asked:
        model = self._writer.model
        asked = await asyncio.to_thread(prompt_of, wanted, model.vocabulary)
        require_room(len(asked.tokens), model.context, param)
        return asked

    async def _stream(
        self, request: web.Request, wanted: Wanted, asked: Asked, turn: Turn | None
    ) -> web.StreamResponse:
        chunks = Chunks(self._alias, self._engine, turn, usage=wanted.usage or not wanted.stream)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        async with contextlib.aclosing(self._events(wanted, asked)) as events:
            first = await anext(events)  # what is refused is refused before anything is told
            await response.prepare(request)
            await self._tell(response, chunks, first, events, wanted)
        return response

    async def _tell(
        self,
        response: web.StreamResponse,
        chunks: Chunks,
        first: Event,
        events: AsyncIterator[Event],
        wanted: Wanted,
    ) -> None:
        await response.write(chunks.begin())
        if not isinstance(first, Progress) or wanted.return_progress:
            await response.write(chunks.tell(first))
        try:
            async for event in events:
                if isinstance(event, Progress) and not wanted.return_progress:
                    continue
                if said := chunks.tell(event):
                    await response.write(said)
        except Refused as refused:
            await response.write(failed(str(refused), refused.status))

    async def _events(self, wanted: Wanted, asked: Asked) -> AsyncGenerator[Event, None]:
        """What the model's thread makes, as it makes it. Leaving it stops that."""
        reader = self._writer
        model = reader.model
        way = Way.of(wanted, model.usual, model.vocabulary.size)
        ask = Ask(asked.tokens, wanted, way, threading.Event())
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

        def work() -> None:
            last: BaseException | None = None
            try:
                if ask.stop.is_set():
                    return
                for event in write(reader, ask):
                    loop.call_soon_threadsafe(made.put_nowait, event)
            except Stopped:
                pass
            except Refused as refused:
                last = refused
            except Exception as exc:  # noqa: BLE001 - whatever the library raises
                last = self._failure(exc)
            finally:
                loop.call_soon_threadsafe(made.put_nowait, last)

        self._busy += 1
        working = loop.run_in_executor(self.thread, work)
        working.add_done_callback(self._rest)
        try:
            while (event := await made.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            ask.stop.set()

    def _rest(self, _: Any) -> None:
        self._busy -= 1

    # ── vectors ─────────────────────────────────────────────────────────────

    async def _embed(self, request: web.Request) -> web.Response:
        vectors = self._vectors
        if vectors is None:
            raise Refused(f"{self._alias} is loaded here to write.", status=501)
        said = await request.read()
        stop = threading.Event()
        self._busy += 1
        try:
            answer = await self.in_thread(lambda: self._vectors_of(vectors, said, stop))
        finally:
            stop.set()
            self._busy -= 1
        body = msgspec.json.encode({"model": self._alias} | answer)
        return web.Response(body=body, content_type="application/json")

    def _vectors_of(self, vectors: Vectors, said: bytes, stop: threading.Event) -> Json:
        try:
            return vectors.answer(document(said), stop)
        except (Refused, Stopped):
            raise
        except Exception as exc:  # whatever the library raises
            raise self._failure(exc) from exc


def _piece(said: bytes) -> str | list[int]:
    """A token's text; its bytes where it is part of a character."""
    try:
        return said.decode()
    except UnicodeDecodeError:
        return list(said)


async def serve(
    shell: Shell, extend: Sequence[Callable[[web.Application], None]] = ()
) -> tuple[str, Callable[[], Awaitable[None]]]:
    """Listen on loopback; the address, and what ends it."""
    app = shell.app()
    for add in extend:
        add(app)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}", runner.cleanup
