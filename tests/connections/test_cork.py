"""An answer's head and the first of its body go out in one write; a head alone does not wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from noibo.connections.connection import Cork

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
pytestmark = pytest.mark.anyio


class Written:
    """What a transport was told."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append(b"closed")


@pytest.fixture
def out() -> Written:
    return Written()


@pytest.fixture
def cork(out: Any) -> Cork:
    return Cork(out)


async def test_a_whole_answer_is_one_write(cork: Cork, out: Written) -> None:
    cork.write(HEAD)
    cork.write(b"body")
    await asyncio.sleep(0)
    assert out.said == [HEAD + b"body"]


async def test_the_head_of_a_stream_goes_at_once_and_its_events_as_they_come(
    cork: Cork, out: Written
) -> None:
    cork.write(HEAD)
    await asyncio.sleep(0)
    assert out.said == [HEAD]
    cork.write(b"one")
    cork.write(b"two")
    assert out.said == [HEAD, b"one", b"two"]


async def test_closing_writes_what_was_kept_first(cork: Cork, out: Written) -> None:
    cork.write(HEAD)
    cork.close()
    await asyncio.sleep(0)
    assert out.said == [HEAD, b"closed"]


async def test_two_answers_on_a_connection_stay_in_order(cork: Cork, out: Written) -> None:
    for body in (b"one", b"two"):
        cork.write(HEAD)
        cork.write(body)
    await asyncio.sleep(0)
    assert out.said == [HEAD + b"one", HEAD + b"two"]
