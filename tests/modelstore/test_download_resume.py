"""Downloads in processes of their own, killed: what came is never fetched again."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.errors import Cancelled
from noibo.modelstore.download.pieces import part_of, seen
from noibo.modelstore.download.pieces_table import Cut
from noibo.modelstore.progress import Progress
from tests.modelstore.file_server import SMALL, FileServer, Get, fetch, noise, until

pytestmark = pytest.mark.heavy  # the long stories of the store; `make test` has the short ones

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.modelstore.file_server"])
P, C = SMALL.piece, SMALL.chunk
SIZES = [1, C - 1, C, P, P + 1, P * 7 // 2, P * 16 + 12345]


class Killed:
    """One download, killed again and again."""

    def __init__(self, server: FileServer, target: Path, cut: Cut, connections: int = 4) -> None:
        self.server = server
        self.target = target
        self.sha256 = hashlib.sha256(server.data).hexdigest()
        self.cut = cut
        self.connections = connections

    def start(self) -> multiprocessing.context.ForkServerProcess:
        process = PROCESSES.Process(
            target=fetch,
            args=(self.server.url, self.sha256, self.target, self.cut, self.connections),
        )
        process.start()
        return process

    def kill_after(self, sent: int) -> None:
        """Kill it when it has taken as many bytes as the server has sent in all."""
        self.server.lift(sent)
        asked = len(self.server.requests)
        process = self.start()
        until(lambda: self.done >= sent and len(self.server.requests) > asked)
        self.kill(process)

    def kill(self, process: multiprocessing.context.ForkServerProcess) -> None:
        process.kill()
        process.join(10)
        assert process.exitcode == -signal.SIGKILL
        process.close()
        assert not self.target.exists()
        self.server.until_idle()

    def finish(self) -> None:
        self.server.lift()
        process = self.start()
        process.join(60)
        assert process.exitcode == 0
        process.close()
        assert self.target.read_bytes() == self.server.data

    @property
    def done(self) -> int:
        here = seen(part_of(self.target))
        return here[0] if here else 0


@pytest.mark.parametrize("size", SIZES)
def test_after_any_number_of_kills_every_byte_came_once(size: int, tmp_path: Path) -> None:
    points = sorted({0, *(size * n // 6 + n % 3 for n in range(1, 6))} & set(range(size)))
    with FileServer(noise(size)) as server:
        killed = Killed(server, tmp_path / "a.bin", SMALL)
        for sent in points:
            killed.kill_after(sent)
        killed.finish()
        assert server.sent == size


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_while_bytes_flow_loses_a_chunk_of_each_connection_at_most(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    size = 20 * P + chance.randrange(P)
    with FileServer(noise(size)) as server:
        server.trouble.pause_s = 0.002
        killed = Killed(server, tmp_path / "a.bin", SMALL)
        for _ in range(3):
            before = killed.done
            process = killed.start()
            wanted = before + chance.randrange(1, size // 5)
            until(lambda wanted=wanted: killed.done >= wanted)
            killed.kill(process)
            done = killed.done
            assert wanted <= done < size
            assert _unrecorded(killed, server.data) <= 4 * C
        server.trouble.pause_s = 0
        server.forget()
        killed.finish()
        assert server.sent == size - done


def _unrecorded(killed: Killed, data: bytes) -> int:
    """Bytes that lie on the disk right, and that no record knows."""
    part = part_of(killed.target).read_bytes()
    right = sum(
        len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*pair, strict=False))))
        for pair in ((part[at : at + C], data[at : at + C]) for at in range(0, len(data), C))
    )
    return right - killed.done


def test_forty_megabytes_as_they_are_cut_by_default(tmp_path: Path) -> None:
    size = 40_000_000
    with FileServer(noise(size)) as server:
        killed = Killed(server, tmp_path / "a.bin", Cut())
        for sent in (100_000, 9_000_001, 20_000_000, 39_999_999):
            killed.kill_after(sent)
        killed.finish()
        assert server.sent == size
        assert server.most_busy >= 3


def test_one_that_waits_sees_how_far_the_other_is(tmp_path: Path) -> None:
    with FileServer(noise(10 * P)) as server:
        killed = Killed(server, tmp_path / "a.bin", SMALL)
        assert seen(part_of(killed.target)) is None
        server.lift(3 * P)
        process = killed.start()
        until(lambda: seen(part_of(killed.target)) == (3 * P, 10 * P))
        server.lift()
        process.join(20)
        process.close()
        assert seen(part_of(killed.target)) is None


@pytest.fixture
def get(tmp_path: Path) -> Iterator[Get]:
    with FileServer(noise(20 * P)) as server:
        yield Get(server, tmp_path / "partial")


def test_a_cancel_keeps_what_is_there(get: Get) -> None:
    get.server.lift(5 * P)

    def ask(progress: Progress) -> None:
        if progress.done >= 5 * P:
            get.cancel.ask()

    with pytest.raises(Cancelled, match="what is here is kept"):
        get.run(report=ask)
    assert seen(get.part) == (5 * P, 20 * P)
    get.server.forget()
    get.server.lift()
    get.cancel = type(get.cancel)()
    get.run()
    assert get.server.sent == 15 * P
    get.assert_whole()


@pytest.mark.parametrize("where", ["before an answer", "in a body"])
def test_a_hung_connection_does_not_hold_up_a_cancel(get: Get, where: str) -> None:
    if where == "in a body":
        get.server.trouble.stall_at = dict.fromkeys(range(1, 9), C)
    else:
        get.server.trouble.mute = {1}
    get.timeout = 60
    asked_at = 0.0

    def ask() -> None:
        nonlocal asked_at
        until(lambda: bool(get.server.requests))
        time.sleep(0.1)
        asked_at = time.monotonic()
        get.cancel.ask()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Cancelled):
        get.run()
    assert time.monotonic() - asked_at < 5  # the server would have held it for ever
    asking.join()


def test_ctrl_c_stops_every_connection(get: Get) -> None:
    get.leave_part(5 * P)  # it waits for the server to be left alone
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("noibo-lane")]
    here = seen(get.part)
    assert here is not None
    get.run()
    assert get.server.sent == 20 * P - here[0]
    get.assert_whole()
