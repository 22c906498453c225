"""Speeds that a worker's log tells of, and what they teach."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from noibo.engines.fit import pace
from noibo.engines.fit.ask import of_model
from noibo.engines.fit.speeds import MOST_ROWS, How, Seen, Speeds, timed
from noibo.engines.fit.work import work_of
from noibo.engines.memory.size import Size
from noibo.hardware.machine import Gpu
from tests.engines.fit.machines import apple, card, machine
from tests.engines.fit.small_headers import model

# As llama.cpp of October 2026 says it, in a worker of smollm2:135m.
LOG = """\
0.13.672.436 I slot print_timing: id  4 | task 319 | prompt eval time =     500.00 ms /   100 tokens (    5.00 ms per token,   200.00 tokens per second)
0.13.672.437 I slot print_timing: id  4 | task 319 |        eval time =    1000.00 ms /    40 tokens (   25.00 ms per token,    40.00 tokens per second)
0.13.688.592 I slot print_timing: id  5 | task 320 | prompt eval time =     267.28 ms /    16 tokens (   16.70 ms per token,    59.86 tokens per second)
0.13.688.663 I slot print_timing: id  5 | task 320 |        eval time =    1600.00 ms /    48 tokens (   33.33 ms per token,    30.00 tokens per second)
0.13.688.700 I slot print_timing: id  5 | task 320 |       total time =    1867.28 ms /    64 tokens
""".splitlines()  # noqa: E501
SIZE, HOW = Size(1024, 2), How(2, "b1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "speeds.json"


def test_the_best_of_a_log_counts_and_short_ones_do_not() -> None:
    read, written = timed(LOG)
    assert (read.rate, read.depth) == (200.0, 100)
    assert (written.rate, written.depth) == (40.0, 120)
    assert timed(LOG[2:3])[0].rate == 0  # 16 tokens are too few


def test_lines_that_are_not_known_change_nothing() -> None:
    odd = ["", "eval time =", "eval time = 0.00 ms / 40 tokens", "eval time = x ms / 9 tokens"]
    assert timed(odd)[1].rate == 0
    assert timed([*odd, *LOG, *odd]) == timed(LOG)


def test_better_speeds_are_kept_and_worse_ones_are_not(path: Path, tmp_path: Path) -> None:
    one = model(tmp_path)
    Speeds(path).note(one, SIZE, HOW, LOG)
    (seen,) = Speeds(path).seen("b1")
    assert (seen.model, seen.prefill, seen.decode) == ("m", 200.0, 40.0)
    work = work_of(of_model(one), 120)
    assert work and (seen.bytes, seen.flops, seen.layers) == (work.bytes, work.flops, 4)
    before = path.read_bytes()
    slower = [line.replace("1000.00 ms /", "2000.00 ms /") for line in LOG]
    Speeds(path).note(one, SIZE, HOW, slower)
    assert path.read_bytes() == before
    faster = [line.replace("1000.00 ms /", "500.00 ms /") for line in LOG]
    Speeds(path).note(one, SIZE, HOW, faster)
    assert Speeds(path).seen("b1")[0].decode == 80.0


def test_another_build_or_a_gpu_is_another_speed(path: Path, tmp_path: Path) -> None:
    one, speeds = model(tmp_path), Speeds(path)
    for how in (HOW, How(2, "b2"), How(2, "b1", gpu_layers=5)):
        speeds.note(one, SIZE, how, LOG)
    assert [row.gpu_layers for row in speeds.seen("b1")] == [0, 5]
    assert [row.build for row in speeds.seen("b2")] == ["b2"]
    assert speeds.seen("") == []


def test_a_damaged_file_is_an_empty_one(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    for damage in (b"", b"[1]", b'{"a": {"model": 3}}', b"\xff"):
        path.write_bytes(damage)
        assert Speeds(path).seen("b1") == []
    Speeds(path).note(model(tmp_path), SIZE, HOW, LOG)
    assert len(Speeds(path).seen("b1")) == 1


def test_the_oldest_rows_go(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    rows = {str(number): Seen("old", float(number), build="b1") for number in range(MOST_ROWS)}
    path.write_bytes(msgspec.json.encode(rows))
    for threads in range(3):
        Speeds(path, lambda: 1e9).note(model(tmp_path), SIZE, How(threads, "b1"), LOG)
    seen = Speeds(path).seen("b1")
    assert len(seen) == MOST_ROWS
    assert min(row.at for row in seen) == 3
    assert sum(row.at == 1e9 for row in seen) == 3


def test_a_log_without_speeds_writes_nothing(path: Path, tmp_path: Path) -> None:
    Speeds(path).note(model(tmp_path), SIZE, HOW, ["ready"])
    assert not path.exists()


def seen(name: str, faster: float) -> Seen:
    """A model that did so many times what is predicted of the machine."""
    plain = Seen(name, 0.0, 1.0, 2e9, 1.0, 10**9, 2e9, 16)
    (read,), (written,) = (
        pace.read_samples([plain], machine()),
        pace.written_samples([plain], machine()),
    )
    return Seen(name, 0.0, read.predicted * faster, 2e9, written.predicted * faster, 10**9, 2e9, 16)


def test_machines_learn_from_what_models_did_there() -> None:
    read, written = pace.learned([seen("a", 0.5), seen("b", 0.5)], machine())
    assert read.scale == written.scale == pytest.approx(0.5)
    assert read.spread < pace.DOUBT
    assert pace.learned([], machine())[0].scale == 1.0


@pytest.mark.parametrize("gpu", [card(12), apple(12)])
def test_where_gpus_run_models_nothing_is_learned_of_the_processor(gpu: Gpu) -> None:
    read, _ = pace.learned([seen("a", 0.5), seen("b", 0.5)], machine(32, gpu))
    assert (read.scale, read.samples) == (1.0, 0)


def test_what_a_gpu_did_says_nothing_of_the_processor() -> None:
    fast = [dataclasses.replace(seen(name, 9.0), gpu_layers=33) for name in ("a", "b")]
    assert pace.learned(fast, machine())[1].samples == 0


def test_an_unknown_machine_predicts_nothing_to_learn_from() -> None:
    unknown = machine(32, bandwidth=None, flops=None)
    read, written = pace.learned([seen("a", 0.5)], unknown)
    assert (read.samples, written.samples) == (0, 0)
