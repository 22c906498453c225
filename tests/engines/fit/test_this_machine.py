"""The machine is measured once and believed for a while."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from noibo.engines.fit import this_machine as tested
from noibo.engines.fit.this_machine import (
    FILE_NAME,
    FRESH_FOR_S,
    FRESH_IF_BUSY_S,
    Found,
    keep,
    this_machine,
)
from noibo.hardware.machine import Hardware
from noibo.hardware.offload import Device, Usable
from tests.engines.fit.machines import card, machine


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often the machine was measured; the measuring itself takes seconds and is another's."""
    times: list[float] = []

    def probe(*, seconds: float, **rest: object) -> Hardware:
        times.append(seconds)
        return machine(32, free=1)

    monkeypatch.setattr(tested, "probe", probe)
    monkeypatch.setattr(tested, "is_busy", lambda: False)
    monkeypatch.setattr(tested, "ask_engine", Usable)
    return times


def test_it_is_measured_once_a_day_and_for_each_build(tmp_path: Path, probed: list[float]) -> None:
    home = tmp_path / "home"
    for build, at in (("1", 1e9), ("1", 1e9 + 60), ("1", 1e9 + FRESH_FOR_S + 1), ("2", 1e9)):
        found = this_machine(home, tmp_path, build, now=lambda at=at: at)  # type: ignore[misc]
        assert found.hardware.bandwidth == 50e9
    assert len(probed) == 3
    this_machine(home, tmp_path, "2", now=lambda: 1e9 - 60)  # a clock that went back
    assert len(probed) == 4


def test_the_best_counts_and_what_a_busy_machine_says_not_for_long(
    tmp_path: Path, probed: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "is_busy", lambda: True)
    this_machine(tmp_path, tmp_path, "1", now=lambda: 1e9)
    slow = machine(32, bandwidth=10e9, flops=900e9)
    monkeypatch.setattr(tested, "probe", lambda **rest: slow)
    assert this_machine(tmp_path, tmp_path, "1", now=lambda: 1e9 + 60).hardware.flops == 800e9
    later = this_machine(tmp_path, tmp_path, "1", now=lambda: 1e9 + FRESH_IF_BUSY_S + 1)
    assert (later.hardware.bandwidth, later.hardware.flops) == (50e9, 900e9)


def test_who_reads_it_is_told_that_the_machine_was_busy_until_it_was_measured_in_quiet(
    tmp_path: Path, probed: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "is_busy", lambda: True)
    assert "`noibo hardware`" in this_machine(tmp_path, tmp_path, "1").remark
    keep(tmp_path, Found(1e9, "1", machine(32, flops=900e9), Usable()))
    assert not this_machine(tmp_path, tmp_path, "1", now=lambda: 1e9).remark
    again = this_machine(tmp_path, tmp_path, "1", now=lambda: 1e9 + FRESH_FOR_S + 1)
    assert (again.remark, again.hardware.flops) == ("", 900e9)


def test_what_is_free_is_asked_each_time(tmp_path: Path, probed: list[float]) -> None:
    first, again = (this_machine(tmp_path, tmp_path, "1") for _ in range(2))
    assert first.hardware.available_bytes == 10**9
    assert again.hardware.available_bytes != 10**9  # this machine's own
    assert len(probed) == 1


def test_a_damaged_file_is_measured_anew(tmp_path: Path, probed: list[float]) -> None:
    (tmp_path / FILE_NAME).write_text('{"at": 1}')
    this_machine(tmp_path, tmp_path, "1")
    assert len(probed) == 1


def test_a_gpu_that_the_engine_cannot_use_is_not_reckoned_with() -> None:
    idle = Found(0.0, "1", machine(32, card(12)), Usable())
    assert idle.for_models.gpus == ()
    assert "RTX 3060" in idle.remark
    usable = Usable((Device("CUDA0", "RTX 3060", 12 * 10**9),))
    used = Found(0.0, "1", machine(32, card(12)), usable)
    assert used.for_models.gpus == (card(12),)
    assert used.remark == ""


def test_gpus_of_another_maker_than_the_engine_can_use_are_left_out() -> None:
    amd = replace(card(16, "RX 7900"), vendor="amd")
    usable = Usable((Device("CUDA0", "NVIDIA GeForce RTX 3060", 12 * 10**9),))
    assert Found(0.0, "1", machine(32, card(12), amd), usable).for_models.gpus == (card(12),)
    unknown = Usable((Device("Vulkan0", "llvmpipe"),))
    assert Found(0.0, "1", machine(32, card(12), amd), unknown).for_models.gpus == (card(12), amd)


def test_an_engine_that_could_not_be_asked_is_asked_again(
    tmp_path: Path, probed: list[float]
) -> None:
    broken = Usable(problem="it did not answer within 60 s", code=-1)
    works = Usable((Device("CUDA0", "RTX 3060", 12 * 10**9),))
    answers = iter((broken, works))

    def look() -> Found:
        return this_machine(tmp_path, tmp_path, "1", ask=lambda: next(answers))

    assert replace(look(), hardware=machine(32, card(12))).remark == ""
    assert [look().usable for _ in range(2)] == [works, works]
    assert len(probed) == 1
