"""Asking models, and the server about itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from noibo.client.answers import Answer, Pieces
from noibo.client.calls import Calls, Messages
from noibo.client.connection import AsyncConnection, Connection
from noibo.wire.engines import Engines
from noibo.wire.management import Done, QueueRow, Status, WorkerRow

Told = Callable[[str], None]


class Talking(Connection):
    """Asks, and waits for the answer."""

    def chat(self, said: Messages, model: str | None = None, **fields: Any) -> Answer:
        """One answer, whole. `fields` are OpenAI's: temperature, max_tokens, seed …"""
        answer = Answer()
        answer.add(self._send(Calls.chat(said, model, fields | {"stream": False})))
        return answer

    def stream(
        self,
        said: Messages,
        model: str | None = None,
        answer: Answer | None = None,
        told: Told | None = None,
        **fields: Any,
    ) -> Iterator[str]:
        """The pieces of one answer as they come. `answer`, if given, is filled on the way; `told`
        hears where the request stands while it waits, and how far its prompt has been read."""
        reader = Pieces(answer or Answer(), told)
        with contextlib.closing(self._chunks(Calls.stream(said, model, fields))) as chunks:
            for chunk in chunks:
                yield from reader.feed(chunk)
        reader.end()

    def status(self) -> Status:
        """Which noibo answers."""
        return self._send(Calls.status)

    def ready(self) -> dict[str, Any]:
        """Raises `RequestFailed` with the reason while the server is not ready."""
        return self._send(Calls.ready)

    def models(self) -> list[str]:
        """Names of the models that can be asked."""
        return [card["id"] for card in self._send(Calls.models)["data"]]

    def model(self, name: str) -> str:
        """A model's full name, from that or a shorter one."""
        return str(self._send(Calls.model(name))["id"])

    def engines(self) -> Engines:
        """What runs models there, what is asked elsewhere, and what each use is for."""
        return self._send(Calls.engines)

    def workers(self) -> list[WorkerRow]:
        """The models that are loaded."""
        return self._send(Calls.workers)

    def queue(self) -> QueueRow:
        """Who waits and who is answered, and the memory that models may take and take."""
        return self._send(Calls.queue)

    def load(
        self, model: str, keep_alive: float | str | None = None, pinned: bool | None = None
    ) -> WorkerRow:
        """Load a model and wait until it is. `keep_alive` in seconds, or as "5m"; -1: for ever."""
        return self._send(Calls.load(model, keep_alive, pinned))

    def pin(self, model: str, pinned: bool = True) -> WorkerRow:
        """Keep a loaded model when another needs the memory, or no longer."""
        return self._send(Calls.pin(model, pinned))

    def stop_worker(self, model: str) -> Done:
        """Unload one model."""
        return self._send(Calls.stop_worker(model))

    def shutdown(self) -> Done:
        """Stop the server; answers under way may finish."""
        return self._send(Calls.shutdown)


class AsyncTalking(AsyncConnection):
    """The same as `Talking`, on an event loop."""

    async def chat(self, said: Messages, model: str | None = None, **fields: Any) -> Answer:
        """One answer, whole. `fields` are OpenAI's: temperature, max_tokens, seed …"""
        answer = Answer()
        answer.add(await self._send(Calls.chat(said, model, fields | {"stream": False})))
        return answer

    async def stream(
        self,
        said: Messages,
        model: str | None = None,
        answer: Answer | None = None,
        told: Told | None = None,
        **fields: Any,
    ) -> AsyncIterator[str]:
        """The pieces of one answer as they come. `answer`, if given, is filled on the way; `told`
        hears where the request stands while it waits, and how far its prompt has been read."""
        reader = Pieces(answer or Answer(), told)
        async with contextlib.aclosing(self._chunks(Calls.stream(said, model, fields))) as chunks:
            async for chunk in chunks:
                for piece in reader.feed(chunk):
                    yield piece
        reader.end()

    async def status(self) -> Status:
        """Which noibo answers."""
        return await self._send(Calls.status)

    async def ready(self) -> dict[str, Any]:
        """Raises `RequestFailed` with the reason while the server is not ready."""
        return await self._send(Calls.ready)

    async def models(self) -> list[str]:
        """Names of the models that can be asked."""
        return [card["id"] for card in (await self._send(Calls.models))["data"]]

    async def model(self, name: str) -> str:
        """A model's full name, from that or a shorter one."""
        return str((await self._send(Calls.model(name)))["id"])

    async def engines(self) -> Engines:
        """What runs models there, what is asked elsewhere, and what each use is for."""
        return await self._send(Calls.engines)

    async def workers(self) -> list[WorkerRow]:
        """The models that are loaded."""
        return await self._send(Calls.workers)

    async def queue(self) -> QueueRow:
        """Who waits and who is answered, and the memory that models may take and take."""
        return await self._send(Calls.queue)

    async def load(
        self, model: str, keep_alive: float | str | None = None, pinned: bool | None = None
    ) -> WorkerRow:
        """Load a model and wait until it is. `keep_alive` in seconds, or as "5m"; -1: for ever."""
        return await self._send(Calls.load(model, keep_alive, pinned))

    async def pin(self, model: str, pinned: bool = True) -> WorkerRow:
        """Keep a loaded model when another needs the memory, or no longer."""
        return await self._send(Calls.pin(model, pinned))

    async def stop_worker(self, model: str) -> Done:
        """Unload one model."""
        return await self._send(Calls.stop_worker(model))

    async def shutdown(self) -> Done:
        """Stop the server; answers under way may finish."""
        return await self._send(Calls.shutdown)
