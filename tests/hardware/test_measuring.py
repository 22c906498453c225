"""What is measured, on small things: that it is measured at all, and of what."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

from noibo.hardware import bandwidth, disk
from noibo.hardware.probe import probe
from noibo.hardware.system import PATIENCE_S, System, parsed, run_tool
from tests.hardware.machines import machine

MIB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="posix_fadvise, mincore")


def test_rates_of_memory_and_arithmetic() -> None:
    for rate in (bandwidth.copy_rate(0.0, 2, MIB), bandwidth.multiply_rate(0.0, side=64)):
        assert math.isfinite(rate) and rate > 1e6


def test_caches_that_cores_share_count_once(tmp_path: Path) -> None:
    files = {}
    for core, shared in ((0, "0-1"), (1, "0-1"), (2, "2-3")):
        folder = f"sys/devices/system/cpu/cpu{core}/cache/index3"
        files |= {f"{folder}/size": "32768K\n", f"{folder}/shared_cpu_list": f"{shared}\n"}
    assert bandwidth.cache_bytes(machine(tmp_path, files)) == 64 * MIB


def test_buffers_are_larger_than_the_cache_and_leave_memory_alone() -> None:
    assert 2 * bandwidth.buffer_bytes(256 * MIB, 64 * 1024 * MIB) >= 2 * 256 * MIB
    assert 2 * bandwidth.buffer_bytes(4096 * MIB, 2048 * MIB) <= 256 * MIB
    assert bandwidth.buffer_bytes(0, 2**40) > 64 * MIB


@on_linux
def test_the_disk_is_read_past_memory_and_nothing_is_left_behind(tmp_path: Path) -> None:
    found, why = disk.disk(tmp_path / "not" / "there", 0.2, size=8 * MIB)
    assert found.read_rate or "not measured" in why
    assert found.path.endswith("there") and found.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


@on_linux
def test_files_that_stay_in_memory_give_no_rate(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no tmpfs here")
    found, why = disk.disk(memory, 0.1, size=8 * MIB)
    assert found.read_rate is None
    assert "not measured" in why


@on_linux
def test_it_is_seen_what_is_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(4 * MIB))
    with path.open("rb") as file:
        file.read()
        assert disk.in_memory(file.fileno(), 4 * MIB) == 1.0


def test_a_folder_that_cannot_be_written_is_a_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        found, why = disk.disk(Path("/proc"), 0.1)
    else:
        tmp_path.chmod(0o500)
        found, why = disk.disk(tmp_path, 0.1)
    assert found.read_rate is None
    assert why.startswith("The disk's read rate was not measured")


def test_a_probe_without_measuring_asks_and_tells(tmp_path: Path) -> None:
    told: list[str] = []
    files = {"proc/cpuinfo": "model name\t: Test CPU\nFeatures\t: asimd\n"}
    system = machine(tmp_path, files, kind="aarch64")
    found = probe(seconds=0, folder=tmp_path, system=system, tell=told.append)
    assert (found.cpu.name, found.cpu.instructions) == ("Test CPU", ("NEON",))
    assert (found.bandwidth, found.flops, found.gpus, found.notes) == (None, None, (), ())
    assert found.disk is not None and found.disk.read_rate is None
    assert told == ["asking the processor", "asking the graphics cards"]


# ── tools of the system ─────────────────────────────────────────────────────


def test_a_tool_that_is_not_here_is_no_failure() -> None:
    assert run_tool(("no-such-tool-here", "-x")).absent


@on_linux
def test_a_tool_that_hangs_is_given_up() -> None:
    answer = run_tool(("sleep", "30"), patience_s=0.05)
    assert "did not answer within 0.05 s" in answer.problem
    assert PATIENCE_S < 30


@on_linux
def test_a_tool_that_fails_is_told_with_its_last_words() -> None:
    answer = run_tool(("sh", "-c", "echo first; echo 'no driver' >&2; exit 9"))
    assert answer.problem == "sh failed with 9: no driver"
    answer = run_tool(("sh", "-c", "echo No driver.; exit 9"))
    assert answer.problem == "sh failed with 9: No driver"  # the note ends the sentence


@on_linux
def test_a_tool_speaks_english_and_is_given_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "vi_VN.UTF-8")
    monkeypatch.setenv("MY_API_KEY", "secret")
    said = run_tool(("env",)).text
    assert "LC_ALL=C\n" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('warning: {x}\n{"a": 1}', None),
        ('a line\n[{"a": 1}]\nmore', [{"a": 1}]),
        ('{"a": 1} trailing', {"a": 1}),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_json_among_other_lines(text: str, value: object) -> None:
    from noibo.hardware.system import Answer

    assert parsed(Answer(text)) == value


def test_a_file_that_is_no_number_is_none(tmp_path: Path) -> None:
    system = machine(tmp_path, {"a": "12\n", "b": "-3\n", "c": "٣\n"})
    assert [system.number(name) for name in "abcd"] == [12, None, None, None]


def test_this_machine_is_asked_by_default() -> None:
    assert System().root == Path("/")
