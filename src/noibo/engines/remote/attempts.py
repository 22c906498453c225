"""One question to a server elsewhere, asked as often as makes sense, and for as long.

It is asked again only while nobody has heard anything of an answer: nobody is there, the connection
breaks at once, or it says that it has no time. Between two attempts nothing is held: the slot goes
to others.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from noibo.engines import line
from noibo.engines.remote import waits
from noibo.engines.remote.answer import Answer, Said
from noibo.engines.remote.breaker import Open, Permit
from noibo.engines.remote.dialect import Question

if TYPE_CHECKING:
    from noibo.engines.remote.reached import Reached

OWN_FAULTS: Final = frozenset({errno.EMFILE, errno.ENFILE})  # of this machine, not of that server


class Attempts:
    """Posts to one server. `rest` waits, and holds nothing meanwhile."""

    def __init__(
        self,
        worker: Reached,
        session: line.Session,
        headers: Mapping[str, str],
        rest: Callable[[float], Awaitable[None]],
    ) -> None:
        self._worker = worker
        self._session = session
        self._headers = headers
        self._rest = rest

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
                    question = await dialect.question(path, fields, self._send, keep_alive)
                response = await self._send(question.path, question.body)
            except (line.Unreachable, line.Broken) as failed:
                begun = isinstance(failed, line.Broken) and failed.begun
                if begun or not self._may_again(tried):
                    raise
                pause = waits.backoff(tried, random.random())  # noqa: S311 - no secret
            else:
                if response.status >= 400 and question.otherwise is not None:
                    response, other = await _reconsidered(question, response)
                    if other is not None:
                        question = other
                        continue
                wanted = self._pause(response, tried)
                if wanted is None:
                    return question.told(Answer(response, permit))
                response.close()
                pause = wanted
            await self._rest(pause)

    def _may_again(self, tried: int) -> bool:
        """Not where others fail too: then this one is the trial, or was asked before that."""
        worker = self._worker
        return tried <= worker.reach.patience.retries and worker.breaker.state == "closed"

    def _pause(self, response: line.Response, tried: int) -> float | None:
        if not self._may_again(tried):
            return None
        return waits.pause(response.status, response.headers, tried, random.random())  # noqa: S311

    async def _send(self, path: str, body: bytes) -> line.Response:
        """One attempt. Raises `line.Silent` where nothing comes in time."""
        reach = self._worker.reach
        url, waits = reach.dialect.address(reach.url, path), reach.patience.waits
        if body:
            return await self._session.post(url, body, self._headers, waits)
        return await self._session.get(url, self._headers, waits)


async def _reconsidered(
    question: Question, response: line.Response
) -> tuple[line.Response, Question | None]:
    """A refusal, read, and what to ask instead."""
    async with response:
        said = await response.read()
    other = question.otherwise(response.status, said) if question.otherwise else None
    return Said(response.status, response.headers, said), other
