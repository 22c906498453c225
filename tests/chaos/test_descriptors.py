"""A server that has no file descriptor left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.chaos.call import LOST, End
from tests.chaos.echoes import echoes
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]


async def test_a_server_without_descriptors_lives_on_and_answers_again(
    home: Path, seed: int
) -> None:
    with echoes(home, {"a": {}, "b": {}}, wrapper=("prlimit", "--nofile=64")) as server:
        where = urlsplit(server.url)
        with contextlib.ExitStack() as crowd:
            async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
                await load.until_answered(["a", "b"])
                for _ in range(100):  # connections that say nothing
                    one = socket.create_connection((where.hostname or "", where.port or 0))
                    crowd.callback(one.close)
                crowded_at = time.monotonic()
                await asyncio.sleep(3)
                crowd.close()
                alone_at = time.monotonic()
                await load.until_answered(["a", "b"])
                recovered = time.monotonic() - alone_at
                await load.until_answered(["a", "b"], more=3)
        assert server.process.poll() is None
    turned_away = [
        outcome
        for outcome in load.of(End.CUT, End.NOBODY)
        if not outcome.status and crowded_at <= outcome.ended <= alone_at + 1
    ]
    served = [outcome for outcome in load.outcomes if outcome not in turned_away]
    keep(
        Row.of(
            "no file descriptor left (64, and 100 silent connections)",
            1,
            served,
            [recovered],
            f"{len(turned_away)} more could not be taken in, and were turned away",
        )
    )
    assert [o for o in served if o.end in {End.WRONG, *LOST}] == []
    assert {outcome.code for outcome in load.of(End.FAILED)} <= {
        "worker_died",
        "worker_start_failed",
        "engine_error",
    }
