"""Talking to one worker: the verbs over HTTP, and the one place where a connection's errors end.

Cancelling is leaving: when the body of `generate` ends, for whatever reason, the connection is
closed and the engine frees its slot.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from noibo.engines import line
from noibo.engines.engine import Fields, Support, Verb
from noibo.engines.worker import Worker
from noibo.errors import ContextExceeded, EngineError, NoiboError, NotSupported, WorkerDied
from noibo.wire import openai
from noibo.wire.body import UNREADABLE

BRIEF_S = 1.5
OVERRUN = frozenset({502, 503, 504})  # it, or what stands behind it, cannot answer now
NONSENSE = (ValueError, KeyError, TypeError)  # what reading it raises


def new_session(*, keeps: bool = False) -> line.Session:
    """A session for workers on this machine.

    Connections are not kept: llama.cpp closes idle ones when it likes, and a request written into
    one that just closed would fail for no reason of its own. A new one on loopback costs 0.1 ms.
    `keeps`: for foreign servers, which are asked again where that happens.
    """
    return line.Session(keeps=keeps)


class Upstream:
    """One worker as a server."""

    def __init__(self, worker: Worker, session: line.Session) -> None:
        self._worker = worker
        self._session = session
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if worker.key:
            self._headers["Authorization"] = f"Bearer {worker.key}"

    def generate(self, path: str, fields: Fields) -> Generation:
        """A request that the engine has prepared: `async with` posts it, and gives the open,
        streaming response."""
        self._require(Verb.GENERATE)
        return Generation(self, path, fields)

    async def begin(self, path: str, fields: Fields) -> line.Response:
        """Post a request; the response, of which only the head is read. It is to be closed. Each
        time that it is asked it may be silent for the worker's patience."""
        worker = self._worker
        body = msgspec.json.encode(worker.asked(fields))
        worker.owed += 1
        try:
            response = await self._post(path, body, worker.patience_s)
        except ConnectionError as exc:
            raise await self.reason(exc) from exc
        finally:
            worker.owed -= 1
        if not worker.engine.foreign:  # of our own it is seen whether they do anything
            response.unwatch()
        return response

    async def chunks(self, response: line.Response) -> AsyncIterator[bytes]:
        """What comes of an open response, as it comes. Whoever takes long over a chunk does not
        make the worker look as if it stood still."""
        worker = self._worker
        while True:
            worker.owed += 1
            try:
                chunk = await response.piece()
            finally:
                worker.owed -= 1
            if not chunk:
                return
            yield chunk

    async def whole(self, response: line.Response) -> bytes:
        """All that comes of an open response."""
        self._worker.owed += 1
        try:
            return await response.read()
        finally:
            self._worker.owed -= 1

    async def ask(self, verb: Verb, path: str, fields: Fields | Mapping[str, Any]) -> Any:
        """Post a request with one JSON answer. Raises `EngineRefused` with the engine's reason."""
        self._require(verb)
        body = msgspec.json.encode(self._worker.asked(fields))
        async with self._mapped(), self._not_for_ever(), await self._post(path, body) as response:
            said = await response.read()
        return self._document(response, said)

    async def _post(self, path: str, body: bytes, patience_s: float | None = None) -> line.Response:
        """The answer, of which nothing is read yet. Where a worker says that it may be asked again,
        it is: as long as nobody has heard anything of it."""
        for pause in self._worker.pauses:
            try:
                response = await self._posted(path, body, patience_s)
            except line.Unreachable:
                pass
            except line.Broken as broken:
                if broken.begun:
                    raise
            else:
                if response.status not in OVERRUN:
                    return response
                response.close()
            await asyncio.sleep(pause)
        return await self._posted(path, body, patience_s)

    async def _posted(self, path: str, body: bytes, patience_s: float | None) -> line.Response:
        url = self._worker.address(path)
        return await self._session.post(url, body, self._headers, patience_s)

    async def look(self, path: str) -> Any:
        """Get one JSON document."""
        async with (
            self._mapped(),
            self._not_for_ever(),
            await self._session.get(self._worker.address(path), self._headers) as response,
        ):
            said = await response.read()
        return self._document(response, said)

    def refusal(self, response: line.Response, said: bytes) -> NoiboError:
        """What a caller is told of an answer that is none."""
        error = openai.refusal(response.status, said)
        if isinstance(error, ContextExceeded):
            return error
        seconds = response.headers.get("retry-after", "")
        error.retry_after_s = float(seconds) if seconds.isdecimal() else None
        return self._worker.refusal(response.status, error)

    def _document(self, response: line.Response, said: bytes) -> Any:
        if response.status != 200:
            raise self.refusal(response, said)
        try:
            return msgspec.json.decode(said)
        except UNREADABLE as exc:
            raise EngineError("The worker sent an answer that is not JSON.") from exc

    async def tokenise(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of `text`, by the model's own tokenizer."""
        body = {"content": text, "add_special": special}
        found = await self.ask(Verb.TOKENISE, "/tokenize", body)
        tokens: list[int] = found["tokens"]
        return tokens

    @property
    def worker(self) -> Worker:
        """Who is asked."""
        return self._worker

    async def busy_slots(self) -> int | None:
        """Slots that work right now, by the engine's own word; None when it has no time to say."""
        if self._worker.engine.foreign:
            return None  # it may be anything: few have such a route
        url = self._worker.url + "/slots"
        with contextlib.suppress(TimeoutError, ConnectionError, *NONSENSE):
            async with (
                asyncio.timeout(BRIEF_S),
                await self._session.get(url, self._headers) as response,
            ):
                slots = msgspec.json.decode(await response.read())
                return sum(bool(slot["is_processing"]) for slot in slots)
        return None

    def _require(self, verb: Verb) -> None:
        if self._worker.engine.verbs[verb] is Support.NONE:
            raise NotSupported(f"The engine {self._worker.engine.name} cannot {verb.value} yet.")

    @contextlib.asynccontextmanager
    async def _not_for_ever(self) -> AsyncIterator[None]:
        """A request of which nothing is ever heard (a chat template that turns in a circle) fails,
        and its worker is replaced when it has finished the others."""
        patience = self._worker.patience_s
        try:
            with self._worker.owing():
                async with asyncio.timeout(patience):
                    yield
        except TimeoutError:
            raise self._worker.silent(patience) from None

    @contextlib.asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        try:
            yield
        except ConnectionError as exc:
            raise await self.reason(exc) from exc

    async def reason(self, exc: ConnectionError) -> EngineError:
        """What the end of a connection means."""
        if isinstance(exc, line.NotHttp):
            return EngineError(str(exc))
        if isinstance(exc, line.Silent):
            return self._worker.silent(exc.seconds)
        if not isinstance(exc, line.Unreachable):
            return await self._worker.died()
        if exc.errno in {errno.EMFILE, errno.ENFILE}:
            return EngineError(
                "The server has no file descriptor left to ask the worker by.",
                next_step="Try again, with fewer connections, or raise `ulimit -n`.",
                retry_after_s=1.0,
            )
        died = await self._worker.died()
        if isinstance(died, WorkerDied):
            died.asked = False
        return died


class Generation:
    """An answer of a worker while it is open. Leaving it ends the work for it: a response that was
    not read to its end is cancelled by being closed."""

    def __init__(self, upstream: Upstream, path: str, fields: Fields) -> None:
        self._upstream = upstream
        self._asked = path, fields
        self._response: line.Response | None = None

    async def __aenter__(self) -> line.Response:
        self._response = await self._upstream.begin(*self._asked)
        return self._response

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if self._response is not None:
            self._response.close()
        if isinstance(exc, ConnectionError):
            raise await self._upstream.reason(exc) from exc
