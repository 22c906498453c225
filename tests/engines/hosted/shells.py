"""A worker shell that listens, and somebody who asks it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from noibo.engines.hosted.python_model import Embedder, Writer
from noibo.engines.hosted.reader import Reader
from noibo.engines.hosted.scores import HostedScores
from noibo.engines.hosted.shell import Shell, serve
from noibo.engines.hosted.vectors import Vectors

KEY = "a key"
CONFIG = {"alias": "small", "engine": "bigram", "api_key": KEY}


class Asker:
    """Asks one shell."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.session.post(self.url + path, json=body) as answer:
            return answer.status, json.loads(await answer.read())

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path) as answer:
            return json.loads(await answer.read())

    async def chunks(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The events of a stream, without its end mark, which must be there."""
        asked = {"stream": True, **body}
        async with self.session.post(self.url + path, json=asked) as answer:
            said = await answer.text()
        assert answer.status == 200, said
        events = [one.removeprefix("data: ") for one in said.split("\n\n") if one]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]

    async def text(self, **body: Any) -> str:
        """What a completion says."""
        found = await self.chunks("/v1/completions", **body)
        return "".join(one["choices"][0]["text"] for one in found if one["choices"])


@contextlib.asynccontextmanager
async def running(
    writer: Writer | None = None, embedder: Embedder | None = None, batch: int = 8
) -> AsyncIterator[Asker]:
    """A shell round a model, while it is entered."""
    reader = Reader(writer, batch) if writer else None
    shell = Shell(CONFIG, reader, Vectors(embedder, tokens=64) if embedder else None)
    extend = []
    if reader:
        scores = HostedScores(reader, KEY, shell.thread)
        shell.working.append(scores.working)
        extend.append(scores.add_to)
    url, close = await serve(shell, extend)
    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            yield Asker(url, session)
    finally:
        await close()
        shell.thread.shutdown()
