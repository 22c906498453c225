"""When a line is written: together with others a moment later, but a warning at once."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Iterator

import pytest

from noibo.logs import WITHIN_S, Soon

pytestmark = pytest.mark.anyio
log = logging.getLogger("noibo.tests.logs")


class Counting(io.StringIO):
    """A stream that counts how often it is written to."""

    writes = 0

    def write(self, said: str) -> int:
        self.writes += 1
        return super().write(said)


@pytest.fixture
def said() -> Iterator[Counting]:
    handler = Soon()
    handler.setStream(Counting())
    log.addHandler(handler)
    log.setLevel("INFO")
    log.propagate = False
    yield handler.stream
    log.removeHandler(handler)


async def test_what_is_said_within_a_moment_is_one_write(said: Counting) -> None:
    for number in range(50):
        log.info("line %d", number)
    assert said.getvalue() == ""
    await asyncio.sleep(WITHIN_S * 5)
    assert said.getvalue().splitlines() == [f"line {number}" for number in range(50)]
    assert said.writes == 1


async def test_a_warning_goes_at_once_after_what_was_said_before(said: Counting) -> None:
    log.info("before")
    log.warning("now")
    assert said.getvalue() == "before\nnow\n"


def test_without_a_loop_it_is_written_at_once(said: Counting) -> None:
    log.info("now")
    assert said.getvalue() == "now\n"


def test_what_one_loop_left_the_next_one_says(said: Counting) -> None:
    async def say(words: str) -> None:
        log.info(words)

    asyncio.run(say("first"))
    asyncio.run(say("second"))
    assert said.getvalue() == "first\nsecond\n"


async def test_threads_speak_in_whole_lines(said: Counting) -> None:
    def speak(name: str) -> None:
        for _ in range(200):
            log.info("from %s", name)

    threads = [threading.Thread(target=speak, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for number in range(200):
        log.info("from loop")
        if not number % 50:
            await asyncio.sleep(WITHIN_S)
    for thread in threads:
        thread.join()
    await asyncio.sleep(WITHIN_S * 5)
    lines = said.getvalue().splitlines()
    assert {line: lines.count(line) for line in set(lines)} == {
        "from a": 200,
        "from b": 200,
        "from loop": 200,
    }


async def test_the_end_of_the_program_loses_nothing(said: Counting) -> None:
    log.info("last words")
    for handler in log.handlers:
        handler.flush()  # as logging.shutdown does
    assert said.getvalue() == "last words\n"


async def test_a_reader_that_left_stops_nothing(
    said: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    said.close()
    log.warning("nobody hears it")
    log.info("nor that")
    await asyncio.sleep(WITHIN_S * 5)
