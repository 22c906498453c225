"""OpenVINO GenAI behind OpenAI's chat API, as thin as it goes: streams only, greedy only.

`python openvino_host.py MODEL.gguf PORT`, in an environment with openvino-genai and aiohttp. The
pipeline batches by itself; one thread takes its steps and hands each token to the loop at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import queue
import sys
import threading
import traceback
from dataclasses import dataclass, field
from typing import Any

import openvino_genai
from aiohttp import web

CACHE_GB = 1
BATCH = 512  # tokens in one step


@dataclass(slots=True, eq=False)
class Asked:
    """One request: what goes to the pipeline, and where its tokens go; None is their end, and
    `fault` why there are no more."""

    ids: Any
    config: Any
    tokens: asyncio.Queue[list[int] | None] = field(default_factory=asyncio.Queue)
    left: bool = False
    fault: str = ""


class Engine:
    """The pipeline and the one thread that may touch it. Where that fails, all who wait are told
    and the process ends: who answers nobody any more is not measured as slow."""

    def __init__(self, path: str) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.max_num_batched_tokens = BATCH
        scheduler.enable_prefix_caching = False
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(path, scheduler, "CPU")
        self.tokenizer = self._pipeline.get_tokenizer()
        self._new: queue.Queue[Asked] = queue.Queue()
        self._running: list[tuple[Asked, Any]] = []
        self._waiting: set[Asked] = set()  # all that are asked and not answered; the loop's own
        self._numbers = itertools.count()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        threading.Thread(target=self._live, daemon=True).start()

    def ask(self, asked: Asked) -> None:
        self._waiting.add(asked)
        self._new.put(asked)

    def leave(self, asked: Asked) -> None:
        asked.left = True
        self._waiting.discard(asked)

    def _live(self) -> None:
        try:
            self._steps()
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody is answered any more
            traceback.print_exc()
            self._loop.call_soon_threadsafe(self._fail, f"{type(exc).__name__}: {exc}")

    def _fail(self, why: str) -> None:
        for asked in self._waiting:
            asked.fault = why
            asked.tokens.put_nowait(None)
        self._loop.call_later(1.0, os._exit, 1)  # when they have read it

    def _steps(self) -> None:
        while True:
            self._take(self._new.get() if not self._running else None)
            while not self._new.empty():
                self._take(self._new.get())
            if self._pipeline.has_non_finished_requests():
                self._pipeline.step()
            self._running = [pair for pair in self._running if self._goes_on(*pair)]

    def _take(self, asked: Asked | None) -> None:
        if asked is not None:
            handle = self._pipeline.add_request(next(self._numbers), asked.ids, asked.config)
            self._running.append((asked, handle))

    def _goes_on(self, asked: Asked, handle: Any) -> bool:
        """Hand over what there is of one; whether there will be more."""
        if asked.left:
            handle.cancel()
            return False
        while handle.can_read():
            for output in handle.read().values():
                self._tell(asked, list(output.generated_ids))
        if handle.get_status() == openvino_genai.GenerationStatus.RUNNING:
            return True
        self._tell(asked, None)
        return False

    def _tell(self, asked: Asked, tokens: list[int] | None) -> None:
        self._loop.call_soon_threadsafe(asked.tokens.put_nowait, tokens)


class Host:
    """What is asked over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.on_startup.append(self._start)
        return app

    async def _start(self, app: web.Application) -> None:
        self._engine.start(asyncio.get_running_loop())

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "model", "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body.get("stream"):
            return web.json_response({"error": {"message": "only streams"}}, status=400)
        tokenizer = self._engine.tokenizer
        text = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True)
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = body.get("max_tokens") or 256
        config.ignore_eos = bool(body.get("ignore_eos"))
        config.do_sample = False
        asked = Asked(tokenizer.encode(text, add_special_tokens=False).input_ids, config)
        self._engine.ask(asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            written = await self._stream(response, asked)
            if asked.fault:
                await self._event(response, error={"message": asked.fault})
                return response
            usage = {"prompt_tokens": asked.ids.shape[1], "completion_tokens": written}
            await self._event(response, choices=[], usage=usage)
            await response.write(b"data: [DONE]\n\n")
        except ConnectionError:
            pass  # whoever asked has left
        finally:
            self._engine.leave(asked)
        return response

    async def _stream(self, response: web.StreamResponse, asked: Asked) -> int:
        """Write the text as it comes; how many tokens it had."""
        ids: list[int] = []
        said = ""
        while (tokens := await asked.tokens.get()) is not None:
            ids += tokens
            text = self._engine.tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # half of a character waits for the other
                piece, said = text[len(said) :], text
                choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                await self._event(response, choices=[choice])
        if asked.fault:
            return len(ids)
        full = len(ids) >= asked.config.max_new_tokens
        choice = {"index": 0, "delta": {}, "finish_reason": "length" if full else "stop"}
        await self._event(response, choices=[choice])
        return len(ids)

    async def _event(self, response: web.StreamResponse, **said: Any) -> None:
        event = {"id": "ov", "object": "chat.completion.chunk", "model": "model", **said}
        await response.write(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")


if __name__ == "__main__":
    host = Host(Engine(sys.argv[1]))
    web.run_app(host.app(), host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)
