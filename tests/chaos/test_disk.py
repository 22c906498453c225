"""A disk that is full, and one that is slow."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.chaos.call import Call, End
from tests.chaos.echoes import echoes
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep
from tests.running import RunningServer, run_noibo

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount and throttle"
    ),
]

THROTTLE = Path("/sys/fs/cgroup/blkio")
REAL = "smollm2:135m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes and a few hundred files."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = "size=8m,nr_inodes=300"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No byte and no file more can be written to it."""
    ballast = disk / "ballast"
    ballast.mkdir()
    with contextlib.suppress(OSError), (ballast / "bytes").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with contextlib.suppress(OSError):
        for number in range(1000):
            (ballast / str(number)).touch()
    with pytest.raises(OSError, match="No space"):
        (disk / "one more").write_bytes(b"x")
    try:
        yield
    finally:
        for path in ballast.iterdir():
            path.unlink()
        ballast.rmdir()


async def test_a_full_disk_stops_no_answer_and_what_needs_it_is_told(
    small_disk: Path, seed: int
) -> None:
    home = small_disk / "home"
    with echoes(home, {"a": {}, "b": {}}) as server:
        async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
            await load.until_answered(["a", "b"])
            with filled(small_disk):
                await load.until_answered(["a", "b"], more=5)
                for row in await asyncio.to_thread(_workers, server):
                    os.kill(row, 9)
                killed_at = time.monotonic()
                await asyncio.sleep(4)
            freed_at = time.monotonic()
            await load.until_answered(["a", "b"])
            recovered = time.monotonic() - freed_at
            await load.until_answered(["a", "b"], more=5)
    failed = load.of(End.FAILED)
    keep(
        Row.of(
            "disk full (home and temporary folder), workers killed on it",
            1,
            load.outcomes,
            [recovered],
            "recovery from when there was space again",
        )
    )
    assert load.bad() == []
    assert all(outcome.ended >= killed_at - 0.1 for outcome in failed)
    assert {outcome.code for outcome in failed} <= {"worker_died", "worker_start_failed"}
    refused = [outcome for outcome in failed if outcome.code == "worker_start_failed"]
    assert all("No space left" in outcome.message for outcome in refused)
    assert not (home / "server.json").exists()
    assert list((small_disk / "tmp").iterdir()) == []


def test_a_server_does_not_start_on_a_full_disk_and_says_so(small_disk: Path) -> None:
    home = small_disk / "home"
    home.mkdir()
    with filled(small_disk):
        ended = run_noibo("serve", "--port", "0", home=home)
    assert ended.returncode != 0
    assert "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr
    with echoes(home, {}) as server:
        server.load("echo")


def _workers(server: RunningServer) -> list[int]:
    return [process.pid for process in server.workers()]


@contextlib.contextmanager
def slow_disk(device: os.stat_result, bytes_per_s: int) -> Iterator[Path]:
    """A control group whose processes read so slowly from the disk of a file."""
    group = THROTTLE / f"noibo-chaos-{os.getpid()}"
    try:
        group.mkdir()
        where = f"{os.major(device.st_dev)}:{os.minor(device.st_dev)}"
        (group / "blkio.throttle.read_bps_device").write_text(f"{where} {bytes_per_s}")
    except OSError as exc:
        pytest.skip(f"this system throttles no reads: {exc}")
    try:
        yield group
    finally:
        (group / "blkio.throttle.read_bps_device").write_text(f"{where} 0")
        for pid in (group / "cgroup.procs").read_text().split():
            (THROTTLE / "cgroup.procs").write_text(pid)
        group.rmdir()


async def test_a_slow_disk_delays_a_load_and_nobody_else(
    home: Path, tmp_path: Path, model_store: Path, smollm2_gguf: Path, seed: int
) -> None:
    """The start may stand still for five seconds, and takes longer."""
    cold = tmp_path / "cold.gguf"
    shutil.copyfile(smollm2_gguf, cold)
    with slow_disk(cold.stat(), 12 * 2**20) as group:
        environ = {"NOIBO_ENGINE_START_STALL_S": "5", "NOIBO_ENGINE_CTX_SIZE": "512"}
        with echoes(home, {"a": {}}, **environ) as server:
            added = httpx2.post(
                server.url + "/noibo/v1/models/add",
                json={"path": str(cold), "name": "cold"},
                headers={"X-Noibo-Client": "test"},
                timeout=60,
            )
            assert added.status_code == 200, added.text
            _drop_from_cache(cold)
            (group / "cgroup.procs").write_text(str(server.process.pid))
            async with Load(server.url, Mix(("a",)), 4, seed) as load:
                began = time.monotonic()
                text = "slow"
                more = {"grammar": 'root ::= "slow"', "max_tokens": 8}
                outcome = await load.ask(Call("cold", text, more=more))
                took = time.monotonic() - began
    keep(
        Row.of(
            "slow disk (reads at 12 MB/s) while a model loads",
            1,
            load.outcomes,
            [took],
            "recovery: from the request to the slow model's answer",
        )
    )
    assert outcome.end is End.ANSWERED, outcome
    assert {outcome.end for outcome in load.outcomes} == {End.ANSWERED}


def _drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
