"""A loopback server that speaks OpenAI's protocol well or badly, by the model that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

KEY = "sk-right"
REFUSALS = {"busy": 429, "broken": 500, "elsewhere": 302, "gone": 404}
WRONG = {
    "garbage": b"data: <html>\n\n",
    "told": b'data: {"error": {"message": "ran out of memory"}}\n\n',
}


class Badly:
    """`asked` counts requests by model; `most` is how many were under way at once; `heard` has the
    bodies. The model `dies` takes the server away after some answers; `repeats`, `tells` and
    `names` say the key that came, in an error, in the stream's and as their name."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.heard: list[dict[str, Any]] = []
        self.most = self._now = 0
        self.url = ""
        self._lines: list[object] = []
        self._runner = web.AppRunner(self._app(), shutdown_timeout=0.1)

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        return app

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        """In two pieces, the second a moment later; to who has a key, that."""
        if key := request.headers.get("Authorization"):
            return web.json_response({"data": [{"id": key}]})
        pieces = b'{"data": [{"id": "well"}, ', b'{"id": "un\\u001bsafe"}]}'
        return await self._halting(request, 200, *pieces)

    async def _halting(
        self, request: web.Request, status: int, first: bytes, second: bytes
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(first)
        await asyncio.sleep(0.05)
        await response.write(second)
        return response

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        model = body["model"]
        self.heard.append(body)
        self.asked[model] += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._answer(request, body, model)
        finally:
            self._now -= 1

    async def _answer(
        self, request: web.Request, body: dict[str, Any], model: str
    ) -> web.StreamResponse:
        refusal = self._refusal(request, body, model)
        if refusal is not None:
            return refusal
        if model == "once" and request.transport is not None:
            if request.protocol in self._lines:
                request.transport.abort()
                return web.Response()
            self._lines.append(request.protocol)
        if model == "halting":
            return await self._halting(request, 500, b'{"error": {"message": "half ', b'a word"}}')
        if model == "never":
            await asyncio.Event().wait()
        if model == "whole":
            return web.json_response({"choices": [{"message": {"content": "hi"}}]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if model == "tells":
            await self._event(response, {"error": {"message": self._key(request)}})
        elif model in WRONG:
            await response.write(WRONG[model])
        else:
            await self._words(request, response, body)
        return response

    def _refusal(
        self, request: web.Request, body: dict[str, Any], model: str
    ) -> web.StreamResponse | None:
        asked, key = self.asked[model], request.headers.get("Authorization")
        whys = {
            "locked": (401, "wrong key", key != f"Bearer {KEY}"),
            "strict": (400, "unknown field ignore_eos", "ignore_eos" in body),
            "old": (400, "unknown field stream_options", "stream_options" in body),
            "newest": (400, "use max_completion_tokens", "max_completion_tokens" not in body),
            "starting": (503, "loading the model", asked < 3),
            "sometimes": (500, "not this time", asked % 3 == 0),
            "repeats": (500, self._key(request), True),
        }
        status, said, refused = whys.get(model, (REFUSALS.get(model), "no", model in REFUSALS))
        if not refused:
            return None
        headers = {"Location": "http://10.0.0.1/", "Retry-After": "0"}
        error = {"error": {"message": said}}
        return web.json_response(error, status=status or 500, headers=headers)

    async def _words(
        self, request: web.Request, response: web.StreamResponse, body: dict[str, Any]
    ) -> None:
        model = body["model"]
        tokens = body.get("max_tokens") or body.get("max_completion_tokens") or 4
        name = {"alias": "other", "names": self._key(request)}.get(model, model)
        for number in range(tokens):
            if model == "cut" and number == 2 and request.transport is not None:
                request.transport.abort()
                return
            if model == "dies" and self.asked[model] > 12 and number == 1:
                task = asyncio.create_task(self.stop())
                task.add_done_callback(lambda _: None)
                await asyncio.sleep(5)
            said = "reasoning_content" if model == "thinks" and number < 3 else "content"
            choice = {"index": 0, "delta": {said: "w "}, "finish_reason": None}
            await self._event(response, {"model": name, "choices": [choice]})
            await asyncio.sleep(0.002)
        choice = {"index": 0, "delta": {}, "finish_reason": "length"}
        await self._event(response, {"model": name, "choices": [choice]})
        if model != "uncounted":
            prompt = len(body["messages"][0]["content"].split()) + 10
            usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
            await self._event(response, {"model": name, "choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")

    def _key(self, request: web.Request) -> str:
        """The key, where a line is cut."""
        return f"{'x' * 180} {request.headers.get('Authorization')}"

    async def _event(self, response: web.StreamResponse, said: dict[str, Any]) -> None:
        await response.write(b"data: " + json.dumps(said).encode() + b"\n\n")


@contextlib.asynccontextmanager
async def badly() -> AsyncIterator[Badly]:
    """Such a server, while it is wanted."""
    server = Badly()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
