"""Talking to one worker: the verbs over HTTP, and the one place where a connection's errors end.

Cancelling is leaving: when the body of `generate` ends, for whatever reason, the connection is
closed and the engine frees its slot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from noibo.engines import line
from noibo.engines.engine import Fields, Support, Verb
from noibo.engines.remote import waits
from noibo.engines.remote.attempts import OWN_FAULTS, Attempts
from noibo.engines.remote.reached import Reached
from noibo.engines.worker import Worker
from noibo.errors import (
    ContextExceeded,
    EgressRefused,
    EngineError,
    NoiboError,
    NotSupported,
    UpstreamFailed,
    WorkerDied,
)
from noibo.wire import openai
from noibo.wire.body import UNREADABLE

if TYPE_CHECKING:
    from noibo.engines.remote.clearance import Clearance
    from noibo.engines.remote.dialect import Dialect
    from noibo.engines.supervision.lease import Lease

BRIEF_S = 1.5
NONSENSE = (ValueError, KeyError, TypeError)  # what reading it raises


def new_session(*, keeps: bool = False) -> line.Session:
    """A session for workers.

    Connections are not kept: llama.cpp closes idle ones when it likes, and a request written into
    one that just closed would fail for no reason of its own. A new one on loopback costs 0.1 ms.
    `keeps`: for foreign servers, which are asked again where that happens.
    """
    return line.Session(keeps=keeps)


class Upstream:
    """One worker as a server. `lease`: by which it is held, where that is to be given up while a
    server elsewhere is left in peace. `clearance`: who judges what leaves this machine; without
    one nothing does."""

    def __init__(
        self,
        worker: Worker,
        session: line.Session,
        lease: Lease | None = None,
        clearance: Clearance | None = None,
    ) -> None:
        self._worker = worker
        self._session = session
        self._lease = lease
        self._clearance = clearance
        self._asking = 0  # questions under way, until they are answered
        # elsewhere each attempt has its own time
        self._patience_s = worker.patience_s if worker.reach is None else None

    def generate(self, path: str, fields: Fields) -> Generation:
        """A request that the engine has prepared: `async with` posts it, and gives the open,
        streaming response."""
        self._require(Verb.GENERATE)
        return Generation(self, path, fields)

    async def begin(self, path: str, fields: Fields) -> line.Response:
        """Post a request; the response, of which only the head is read. It is to be ended."""
        worker = self._worker
        worker.owed += 1
        self._asking += 1
        try:
            return await self._post(path, fields)
        except BaseException as exc:
            self._asking -= 1
            if isinstance(exc, ConnectionError):
                raise await self.reason(exc) from exc
            raise
        finally:
            worker.owed -= 1

    def end(self, response: line.Response) -> None:
        """Hear no more of a response that was begun."""
        self._asking -= 1
        response.close()

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
        worker = self._worker
        worker.owed += 1
        try:
            return await response.read()
        finally:
            worker.owed -= 1

    async def ask(self, verb: Verb, path: str, fields: Fields | Mapping[str, Any]) -> Any:
        """Post a request with one JSON answer. Raises `EngineRefused` with the engine's reason."""
        self._require(verb)
        async with self._mapped(), self._not_for_ever(), await self._post(path, fields) as response:
            said = await response.read()
        return self._document(response, said)

    def _post(self, path: str, fields: Mapping[str, Any]) -> Coroutine[Any, Any, line.Response]:
        """The answer, of which nothing is read yet."""
        if self._worker.reach is not None:
            return self._post_there(path, fields)
        if self._worker.launch.dialect is not None:
            return self._post_translated(self._worker.launch.dialect, path, fields)
        worker, body = self._worker, msgspec.json.encode(fields)
        return self._session.post(worker.url + path, body, worker.headers, worker.waits)

    async def _post_translated(
        self, dialect: Dialect, path: str, fields: Mapping[str, Any]
    ) -> line.Response:
        """The same of a worker of ours that is asked in other words."""
        worker = self._worker

        def fetch(place: str, body: bytes) -> Coroutine[Any, Any, line.Response]:
            url = dialect.address(worker.url, place)
            if not body:
                return self._session.get(url, worker.headers, worker.waits)
            return self._session.post(url, body, worker.headers, worker.waits)

        question = await dialect.question(path, fields, fetch, None)
        return question.told(await fetch(question.path, question.body))

    def _post_there(
        self, path: str, fields: Mapping[str, Any]
    ) -> Coroutine[Any, Any, line.Response]:
        """The same of another server, which is asked again where that makes sense."""
        worker = self._worker
        assert isinstance(worker, Reached)  # noqa: S101 - it has a reach
        keep_alive = self._lease.keep_alive if self._lease else None
        if worker.reach.place.outside:
            return self._post_outside(worker, path, fields, keep_alive)
        return Attempts(worker, self._session, self._rest).post(path, fields, keep_alive)

    async def _post_outside(
        self, worker: Reached, path: str, fields: Mapping[str, Any], keep_alive: float | None
    ) -> line.Response:
        """The same of one that is not on this machine: nothing goes there that was not cleared."""
        if self._clearance is None:
            raise EgressRefused(
                f"{worker.model.name} is at {worker.url}, and nobody judges here what may leave.",
                next_step="Ask it through a server: `noibo serve`.",
            )
        cleared = await self._clearance.clear(worker, path, fields)
        try:
            attempts = Attempts(worker, self._session, self._rest, cleared.depart)
            response = await attempts.post(path, cleared.fields, keep_alive)
        except BaseException as exc:
            cleared.failed(exc)
            raise
        return cleared.told(response)

    async def _rest(self, seconds: float) -> None:
        """Wait, and let others have the slot meanwhile, unless something else goes on in it."""
        if self._lease is None or self._asking > 1:
            await asyncio.sleep(seconds)
        else:
            self._worker = await self._lease.rest(seconds)

    async def look(self, path: str) -> Any:
        """Get one JSON document."""
        async with self._mapped(), self._not_for_ever(), await self._got(path) as response:
            said = await response.read()
        return self._document(response, said)

    def _got(self, path: str) -> Coroutine[Any, Any, line.Response]:
        worker = self._worker
        return self._session.get(worker.address(path), worker.headers, worker.waits)

    def refusal(self, response: line.Response, said: bytes) -> NoiboError:
        """What a caller is told of an answer that is none; a key that it says again is not."""
        if key := self._worker.key:
            said = said.replace(key.encode(), b"[key]")
        error = openai.refusal(response.status, said)
        if isinstance(error, ContextExceeded):
            return error
        error.retry_after_s = waits.asked_for(response.headers.get("retry-after", ""))
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
                await self._session.get(url, self._worker.headers) as response,
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
        worker = self._worker
        self._asking += 1
        try:
            with worker.owing():
                async with asyncio.timeout(self._patience_s):
                    yield
        except TimeoutError:
            raise worker.silent(worker.patience_s) from None
        finally:
            self._asking -= 1

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
        if isinstance(exc, line.Untrusted):
            return UpstreamFailed(
                f"{self._worker.model.name} is reached at {self._worker.url}, and its certificate "
                f"is not believed: {exc}. Nothing was sent.",
                next_step="Mend base_url, or the certificate there; SSL_CERT_FILE names further "
                "authorities.",
            )
        if not isinstance(exc, line.Unreachable):
            return await self._ended(exc)
        if exc.errno in OWN_FAULTS:
            return EngineError(
                "The server has no file descriptor left to ask the worker by, or no port.",
                next_step="Try again, with fewer connections, or raise `ulimit -n`.",
                retry_after_s=1.0,
            )
        died = await self._worker.died()
        if isinstance(died, WorkerDied):
            died.asked = False
        return died

    async def _ended(self, exc: ConnectionError) -> EngineError:
        """What it means that a connection which was there has ended."""
        if isinstance(self._worker, Reached) and isinstance(exc, line.Broken) and exc.begun:
            return self._worker.broke_off()
        return await self._worker.died()


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
            self._upstream.end(self._response)
        if isinstance(exc, ConnectionError):
            raise await self._upstream.reason(exc) from exc
