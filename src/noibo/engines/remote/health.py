"""Whether a server elsewhere answers: one light look, when somebody wants to know."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from noibo.engines import line
from noibo.engines.engine import Reach
from noibo.engines.remote.waits import BUSY
from noibo.wire.body import UNREADABLE

PATIENCE_S: Final = 2.0


async def look(session: line.Session, reach: Reach, *, named: bool = True) -> tuple[bool, str]:
    """Whether it answers, and what it says in a few words. `named`: its model is to be there."""
    headers = {"Accept-Encoding": "identity"}
    if reach.key:
        headers["Authorization"] = f"Bearer {reach.key}"
    url = reach.dialect.address(reach.url, reach.dialect.looks)
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            await session.get(url, headers, line.Waits(PATIENCE_S)) as response,
        ):
            said = await response.read()
    except TimeoutError:
        return False, f"says nothing within {PATIENCE_S:g} s"
    except line.Unreachable:
        return False, "nobody is there"
    except ConnectionError as exc:
        return False, f"does not answer: {exc}"
    if response.status == 200:
        return True, _words(reach, said, named=named)
    if response.status in {401, 403}:
        return False, f"refuses noibo's key (status {response.status})"
    busy = response.status == BUSY  # it is there; any other may be one that knows no models
    return busy, f"answers with status {response.status}"


def _words(reach: Reach, said: bytes, *, named: bool) -> str:
    try:
        words = reach.dialect.found(msgspec.json.decode(said))
    except (*UNREADABLE, KeyError, TypeError):
        return "answers, and lists no models"
    return words if named else words.partition(",")[0]
