"""What a worker is asked beside the answer: a real server notes it, behind the real pipeline."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from noibo.engines.engine import Model
from noibo.engines.memory.size import Size
from noibo.engines.upstream import new_session
from noibo.errors import ContextExceeded, InvalidRequest
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.window.cut import Cut
from noibo.gateway.window.policy import Policy, Wish
from noibo.gateway.window.prompts import COUNT
from tests.gateway.bare_engine import CHUNK, LAST, PATH, OneWorker, sse
from tests.wire.drawing import png, url

pytestmark = pytest.mark.anyio
WINDOW = 1000


class Counting:
    """An engine whose tokens are words. `images`: tokens that it only finds while it answers."""

    def __init__(self, images: int = 0) -> None:
        self.paths: list[str] = []
        self.said: list[Any] = []
        self.counted: list[Any] = []
        self._images = images

    async def count(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.counted.append(body := await request.json())
        if any(one["content"] == "nonsense" for one in body["messages"]):
            return web.json_response({"error": {"message": "no", "type": "t"}}, status=500)
        return web.json_response({"input_tokens": self._words(body)})

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.said.append(body := await request.json())
        if (tokens := self._words(body) + self._images) >= WINDOW:
            kind = "exceed_context_size_error"
            error = {"message": "long", "type": kind, "n_prompt_tokens": tokens, "n_ctx": WINDOW}
            return web.json_response({"error": error}, status=400)
        whole = sse(CHUNK, LAST) + b"data: [DONE]\n\n"
        return web.Response(body=whole, content_type="text/event-stream")

    @staticmethod
    def _words(body: dict[str, Any]) -> int:
        texts = [
            "".join(part.get("text", "") for part in content)
            if isinstance(content, list)
            else content
            for content in (one["content"] for one in body["messages"])
        ]
        return sum(1 + len(text.split()) for text in texts)

    async def asked(
        self, messages: Any, policy: Policy = Policy.REFUSE, window: int = WINDOW, **more: Any
    ) -> Cut | None:
        """What was cut of a chat."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post(PATH, self.answer)
        app.router.add_post(COUNT, self.count)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        one = OneWorker(f"http://127.0.0.1:{runner.addresses[0][1]}")
        one.worker.launch = dataclasses.replace(one.worker.launch, size=Size(window, 4))
        body = json.dumps({"model": "m", "messages": messages, "stream": True, **more}).encode()
        request = dataclasses.replace(Request.parse(PATH, body), wish=Wish(policy))

        one.worker.model = dataclasses.replace(one.worker.model, projector=Path("projector"))

        async def resolve(name: str) -> Model:
            return one.worker.model

        try:
            async with new_session() as session:
                pipeline = Pipeline(resolve, one, session)  # type: ignore[arg-type]
                async with pipeline.open(request) as stream:
                    if stream.response.status != 200:
                        raise stream.upstream.refusal(stream.response, await stream.beginning())
                    return stream.cut
        finally:
            await runner.cleanup()


def user(words: int) -> dict[str, str]:
    return {"role": "user", "content": "w " * words}


async def test_a_short_prompt_pays_nothing() -> None:
    engine = Counting()
    assert await engine.asked([user(100)], max_tokens=500) is None
    assert await engine.asked([user(600)], window=0) is None  # who answers holds it to its own
    assert engine.paths == [PATH, PATH]


async def test_what_may_be_too_long_is_counted_once() -> None:
    engine = Counting()
    assert await engine.asked([user(500)], max_tokens=400) is None
    assert await engine.asked([user(500)], max_tokens=499) is None
    assert engine.paths == [COUNT, PATH] * 2
    with pytest.raises(ContextExceeded) as caught:
        await engine.asked([user(500)], max_tokens=500)
    assert (caught.value.prompt, caught.value.wanted, caught.value.window) == (501, 500, WINDOW)
    assert engine.paths[4:] == [COUNT]  # it never ran


async def test_what_goes_is_found_in_few_countings() -> None:
    engine = Counting()
    many = [user(9) for _ in range(400)]
    cut = await engine.asked(many, Policy.DROP_OLDEST, max_tokens=100)
    assert cut is not None
    assert cut.messages == 310
    assert len(engine.said[0]["messages"]) == 90
    assert engine.paths.count(COUNT) <= 11


async def test_a_chat_that_the_template_does_not_take_is_a_400() -> None:
    with pytest.raises(InvalidRequest):
        await Counting().asked([{"role": "user", "content": "nonsense"}, user(900)])


async def test_what_only_the_engine_can_count_is_refused_by_it_with_both_counts() -> None:
    seen = {"type": "text", "text": "w " * 450}
    parts = [{"type": "image_url", "image_url": {"url": url(png(8, 8))}}, seen]
    engine = Counting(images=950)
    with pytest.raises(ContextExceeded) as caught:
        await engine.asked([{"role": "user", "content": parts}])
    assert (caught.value.prompt, caught.value.window) == (1401, WINDOW)
    assert engine.counted[-1]["messages"][0]["content"] == [seen]  # a picture has no tokens there
