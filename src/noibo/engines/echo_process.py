"""The child process of the echo engine: a small OpenAI-compatible server with a script.

A script says what to answer and how to misbehave. It comes with the model's options or, for one
request, in the body's `x_echo` object; a request's wins.

    text          what to answer (default: the prompt, or the last message)
    reasoning     thoughts, before the answer of a chat
    calls         functions that a chat calls after its answer: [{"name": …, "arguments": {…}}];
                  the first alone where `parallel_tool_calls` is false
    delay_ms      between two words
    prefill_ms    before the first
    status        answer with this HTTP status and no words
    location      … and this address to look at instead
    die_after     the process ends itself after so many words
    die_by        the signal it does that by, as SIGSEGV (default: it exits with code 70)
    cut_after     the connection is cut after so many words
    grows_mib     memory it takes after the first word, and keeps

Options for the model only: `start_delay_s`, `start_works_s` (busy and silent), `start_hangs`,
`start_fails` (a text), `start_dies_by` (a signal), `announces` (instead of its address),
`grandchild_s` (a child of its own that holds its pipes so long), `eats_mib` (memory it takes),
`slot_eats_mib` (that much more for each slot), `dies_when_ready`.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from noibo.engines.child import read_config, ready

Json = dict[str, Any]


class EchoServer:
    """Speaks the protocol; holds the script of the model."""

    def __init__(self, config: Json) -> None:
        self._config = config
        self._busy = 0
        self._stomach = bytearray()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._check_key], client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/chat/completions/input_tokens", self._count)
        app.router.add_post("/v1/completions", self._completion)
        app.router.add_post("/tokenize", self._tokenise)
        app.router.add_get("/slots", self._slots)
        return app

    @web.middleware
    async def _check_key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._config['api_key']}":
            return _error(401, "Invalid API Key")
        response: web.StreamResponse = await handler(request)
        return response

    async def _slots(self, request: web.Request) -> web.Response:
        slots = [
            {"id": i, "is_processing": i < self._busy} for i in range(self._config["parallel"])
        ]
        return web.json_response(slots)

    async def _tokenise(self, request: web.Request) -> web.Response:
        body = await request.json()
        words = _words(_said(body.get("content", "")))
        pieces = [{"id": number, "piece": word} for number, word in enumerate(words)]
        plain = list(range(len(words)))
        return web.json_response({"tokens": pieces if body.get("with_pieces") else plain})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = [_text(message.get("content")) for message in body["messages"]]
        return await self._answer(
            request, body, said[-1] if said else "", " ".join(said), chat=True
        )

    async def _count(self, request: web.Request) -> web.Response:
        """What the prompt of a chat would take."""
        body = await request.json()
        if refusal := _refusal(body.get("x_echo") or {}):
            return refusal
        said = [_text(message.get("content")) for message in body["messages"]]
        return web.json_response({"input_tokens": len(_words(" ".join(said)))})

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = _said(body["prompt"])
        return await self._answer(request, body, prompt, prompt, chat=False)

    async def _answer(
        self, request: web.Request, body: Json, said: str, prompt: str, *, chat: bool
    ) -> web.StreamResponse:
        script: Json = {"text": said} | self._config | (body.get("x_echo") or {})
        if refusal := _refusal(script):
            return refusal
        words = _words(script["text"])
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(words)
        shape = _Chunks(self._config["alias"], chat=chat)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self._busy += 1
        try:
            thoughts = _words(script.get("reasoning", ""))
            for word in thoughts:
                await response.write(shape.delta(reasoning_content=word))
            async for word in self._speak(script, words[:limit], request):
                await response.write(shape.word(word))
            calls = script.get("calls", ())
            several = body.get("parallel_tool_calls", True)
            for part in _calls(calls if several else calls[:1]):
                await response.write(shape.delta(tool_calls=[part]))
            reason = "stop" if limit >= len(words) else "length"
            reason = "tool_calls" if script.get("calls") else reason
            usage = _usage(len(_words(prompt)), len(thoughts) + min(limit, len(words)))
            await response.write(shape.end(reason, usage))
        except ConnectionError:
            pass  # the caller left, or the script said to cut
        finally:
            self._busy -= 1
        return response

    async def _speak(
        self, script: Json, words: list[str], request: web.Request
    ) -> AsyncIterator[str]:
        await asyncio.sleep(script.get("prefill_ms", 0) / 1000)
        for spoken, word in enumerate(words):
            if spoken == script.get("die_after"):
                print("scripted death", file=sys.stderr, flush=True)  # noqa: T201
                if name := script.get("die_by"):
                    os.kill(os.getpid(), signal.Signals[name])
                os._exit(70)
            if spoken == script.get("cut_after") and request.transport is not None:
                request.transport.abort()
                return
            yield word
            if not spoken and (more := script.get("grows_mib")):
                self._grow(more)
            if delay := script.get("delay_ms"):
                await asyncio.sleep(delay / 1000)

    def _grow(self, mib: int) -> None:
        """Take memory; where there is none, end as a C++ program does."""
        try:
            self._stomach += b"." * (mib << 20)
        except MemoryError:
            print("MemoryError: out of memory", file=sys.stderr, flush=True)  # noqa: T201
            os.abort()


class _Chunks:
    """Stream events in the shape of a chat or of a text completion."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._chat = chat
        self._head: Json = {
            "id": f"echo-{time.time_ns()}",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"echo-{os.getpid()}",
        }

    def word(self, word: str) -> bytes:
        said = {"delta": {"role": "assistant", "content": word}} if self._chat else {"text": word}
        return self._event([{"index": 0, **said, "finish_reason": None}])

    def delta(self, **said: Any) -> bytes:
        return self._event([{"index": 0, "delta": said, "finish_reason": None}])

    def end(self, reason: str, usage: Json) -> bytes:
        last: Json = {"delta": {}} if self._chat else {"text": ""}
        choice = {"index": 0, **last, "finish_reason": reason}
        return self._event([choice], usage=usage) + b"data: [DONE]\n\n"

    def _event(self, choices: list[Json], **more: Any) -> bytes:
        body = self._head | {"choices": choices} | more
        return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def _words(text: str) -> list[str]:
    """Words with the space before them, so that they add up to the text again."""
    return [" " * bool(i) + word for i, word in enumerate(text.split(" "))] if text else []


def _calls(calls: Any) -> Iterator[Json]:
    """Each call in two pieces, as engines stream them."""
    for index, call in enumerate(calls):
        head = {"name": call["name"], "arguments": ""}
        yield {"index": index, "id": f"call{index}", "type": "function", "function": head}
        yield {"index": index, "function": {"arguments": json.dumps(call["arguments"])}}


def _said(prompt: Any) -> str:
    """A prompt as text: of token ids, each is a word."""
    return " ".join(map(str, prompt)) if isinstance(prompt, list) else str(prompt)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")


def _usage(prompt: int, completion: int) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _refusal(script: Json) -> web.Response | None:
    """The failure that a script asks for."""
    if not (status := script.get("status")):
        return None
    refusal = _error(int(status), "scripted failure")
    refusal.headers.update({"Location": script["location"]} if "location" in script else {})
    return refusal


def _error(status: int, message: str) -> web.Response:
    error = {"message": message, "type": "echo_error", "code": status}
    return web.json_response({"error": error}, status=status)


async def _serve(config: Json) -> None:
    if why := config.get("start_fails"):
        sys.exit(str(why))
    if name := config.get("start_dies_by"):
        os.kill(os.getpid(), signal.Signals[name])
    eaten = config.get("eats_mib", 0) + config.get("slot_eats_mib", 0) * config["parallel"]
    stomach = bytearray(eaten << 20)
    stomach[:: mmap.PAGESIZE] = b"." * len(range(0, len(stomach), mmap.PAGESIZE))
    if config.get("start_hangs"):
        await asyncio.Event().wait()
    await asyncio.sleep(config.get("start_delay_s", 0))
    busy_until = time.monotonic() + config.get("start_works_s", 0)
    while time.monotonic() < busy_until:
        sum(range(10_000))
    app = EchoServer(config).app()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    if seconds := config.get("grandchild_s"):
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"import time; time.sleep({seconds})  # noibo-test-grandchild"
        )
    ready(config, **config.get("announces", {"url": f"http://127.0.0.1:{port}"}))
    if config.get("dies_when_ready"):
        os._exit(70)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(read_config()))
