"""One question to a server elsewhere, asked as often as makes sense, and for as long.

It is asked again only while nobody has heard anything of an answer: nobody is there, the connection
breaks at once, or it says that it has no time. Between two attempts nothing is held: the slot goes
to others.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from noibo.engines import line
from noibo.engines.remote import waits
from noibo.engines.remote.answer import Answer, Said
from noibo.engines.remote.breaker import Open, Permit
from noibo.engines.remote.dialect import Question
from noibo.engines.remote.keyless import without

if TYPE_CHECKING:
    from noibo.engines.remote.reached import Reached

# Of this machine, not of that server: it has no file descriptor left, or no port.
OWN_FAULTS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})


class _NotNow(Exception):
    """An answer to what has to be known first, which says nothing of that."""

    def __init__(self, response: line.Response) -> None:
        super().__init__(f"status {response.status}")
        self.response = response


# Leave for one attempt with so many bytes, where the server is not on this machine.
Depart = Callable[[str, bytes], Awaitable[line.Leave]]


class Attempts:
    """Posts to one server. `rest` waits, and holds nothing meanwhile."""

    def __init__(
        self,
        worker: Reached,
        session: line.Session,
        rest: Callable[[float], Awaitable[None]],
        depart: Depart | None = None,
    ) -> None:
        self._worker = worker
        self._session = session
        self._rest = rest
        self._depart = depart
        self._sent_at = 0.0

    async def post(
        self, path: str, fields: Mapping[str, Any], keep_alive: float | None = None
    ) -> line.Response:
        """The answer, of which nothing is read yet. Raises `UpstreamFailed` where the server is
        left alone for now, and `ConnectionError`."""
        try:
            permit = self._worker.breaker.enter()
        except Open as left:
            raise self._worker.left_alone(left) from None
        try:
            return await self._asked(permit, path, fields, keep_alive)
        except ConnectionError as exc:
            permit.let_go() if getattr(exc, "errno", None) in OWN_FAULTS else permit.failed()
            raise
        except BaseException:  # who asked has left, or what was asked cannot be
            permit.let_go()
            raise

    async def _asked(
        self, permit: Permit, path: str, fields: Mapping[str, Any], keep_alive: float | None
    ) -> line.Response:
        dialect = self._worker.reach.dialect
        question: Question | None = None
        tried = 0
        while True:
            tried += 1
            try:
                if question is None:
                    question = await dialect.question(path, fields, self._learn, keep_alive)
                response = await self._send(question.path, question.body)
                if response.status < 400:
                    return question.told(Answer(response, permit))
                response, other = await _reconsidered(question, response)
            except line.Untrusted:
                raise  # the same the next time
            except (line.Unreachable, line.Broken) as failed:
                begun = isinstance(failed, line.Broken) and failed.begun
                if begun or not self._may_again(tried):
                    raise
                pause = waits.backoff(tried, random.random())  # noqa: S311 - no secret
            except _NotNow as refused:
                wanted = self._pause(refused.response, tried)
                if wanted is None:
                    return Answer(refused.response, permit)
                pause = wanted
            else:
                if other is not None:
                    question = other
                    continue
                wanted = self._pause(response, tried)
                if wanted is None:
                    return question.told(Answer(response, permit))
                pause = wanted
            await self._rest(pause)

    def _may_again(self, tried: int) -> bool:
        """Not where others fail too: then this one is the trial, or was asked before that."""
        worker = self._worker
        return tried <= worker.reach.patience.retries and worker.breaker.state == "closed"

    def _pause(self, response: line.Response, tried: int) -> float | None:
        """Seconds until it is asked again after such an answer, which is closed then; None: it is
        not."""
        if not self._may_again(tried):
            return None
        worked = time.monotonic() - self._sent_at > line.SOON_S
        chance = random.random()  # noqa: S311 - no secret
        pause = waits.pause(response.status, response.headers, tried, chance, worked=worked)
        if pause is not None:
            response.close()
        return pause

    async def _learn(self, path: str, body: bytes) -> line.Response:
        """An answer to what a dialect has to know first. Raises `_NotNow` for one that is judged as
        the answer to the question itself would be."""
        response = await self._send(path, body)
        status = response.status
        if status in waits.NO_TIME or status in waits.REFUSES_US or 300 <= status < 400:
            raise _NotNow(response)
        return response

    async def _send(self, path: str, body: bytes) -> line.Response:
        """One attempt. Raises `line.Silent` where nothing comes in time."""
        worker, url = self._worker, self._worker.address(path)
        leave = None if self._depart is None else await self._depart(url, body)
        self._sent_at = time.monotonic()
        if body:
            said = await self._session.post(url, body, worker.headers, worker.waits, leave)
        else:
            said = await self._session.get(url, worker.headers, worker.waits, leave)
        return without(worker.key, said)


async def _reconsidered(
    question: Question, response: line.Response
) -> tuple[line.Response, Question | None]:
    """A refusal, and what to ask instead; it is read where that says."""
    if question.otherwise is None:
        return response, None
    async with response:
        said = await response.read()
    other = question.otherwise(response.status, said)
    return Said(response.status, response.headers, said), other
