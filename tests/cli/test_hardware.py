"""`noibo hardware`: this machine for people and for programs; described GPUs in its lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noibo.cli import hardware as command
from noibo.hardware.machine import Cpu, Disk, Gpu, Hardware
from noibo.hardware.offload import Device, Usable

GIB = 2**30
CARD = Gpu("NVIDIA GeForce RTX 3060", "nvidia", 12 * GIB, 11 * GIB, "550.1", bandwidth=360e9)
MACHINE = Hardware(
    Cpu("Xeon", 2, 4, ("AVX2",), ("AVX2", "AMX-INT8")),
    32 * GIB,
    20 * GIB,
    42.5e9,
    1.5e11,
    (CARD,),
    Disk("/models", 10**12, 2.5e9),
    ("Something could not be read.",),
)
KEYS = {
    "cpu",
    "memory_bytes",
    "memory_available_bytes",
    "memory_bandwidth_bytes_per_s",
    "flops_per_s",
    "gpus",
    "disk",
    "engine_devices",
    "notes",
}


def test_this_machine_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.hardware(seconds=0, json=True)
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert set(said) == KEYS
    assert said["cpu"]["cores"] >= 1 and said["cpu"]["name"]
    assert said["memory_bytes"] >= said["memory_available_bytes"] > 0
    assert said["memory_bandwidth_bytes_per_s"] is None
    assert err == ""
    assert not home.exists()


def test_this_machine_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    command.hardware(seconds=0, json=False)
    out = capsys.readouterr().out
    assert {"processor", "runs", "memory", "GPU", "disk"} <= {
        line[:10].strip() for line in out.splitlines()
    }


def test_what_is_listed_and_dies_is_shown() -> None:
    lines = [said for _, said in command.rows(MACHINE, Usable())]
    assert "AMX-INT8: listed, but does not run" in lines
    assert "Xeon, 2 cores, 4 threads" in lines


def test_it_is_said_what_a_rate_counts() -> None:
    lines = " ".join(said for _, said in command.rows(MACHINE, Usable()))
    assert "42.5 GB/s by a copy on all cores, bytes read and bytes written counted" in lines
    assert "1000 GB free, reads 2.50 GB/s" in lines


def test_a_card_with_what_is_known_of_it() -> None:
    found = dict(command.rows(MACHINE, Usable((Device("CUDA0", CARD.name),))))
    assert found["GPU"] == (
        "NVIDIA GeForce RTX 3060, 12.0 GiB, 11.0 GiB free, 360 GB/s by its maker, driver 550.1"
    )
    assert found["engine"] == "can use NVIDIA GeForce RTX 3060"


def test_a_card_that_lies_idle_is_told_with_the_command() -> None:
    said = command.remarks(MACHINE, Usable())
    assert said[0] == "Something could not be read."
    assert "`noibo engines install cuda`" in said[1]
    assert command.remarks(MACHINE, Usable((Device("CUDA0", CARD.name),))) == [said[0]]


def test_an_engine_that_cannot_be_asked_is_one_line() -> None:
    said = command.remarks(MACHINE, Usable(problem="Traceback\n  x\nImportError: no", code=1))
    assert said[1].startswith("The engine could not be asked") and "ImportError: no" in said[1]
    assert all("\n" not in line for line in said)


def test_json_is_in_bytes_and_whole_numbers() -> None:
    said = command.as_json(MACHINE, Usable())
    assert said["gpus"][0]["memory_free_bytes"] == 11 * GIB
    assert said["gpus"][0]["bandwidth_bytes_per_s"] == 360_000_000_000
    assert said["disk"] == {
        "path": "/models",
        "free_bytes": 10**12,
        "read_bytes_per_s": 2_500_000_000,
    }
    assert said["cpu"]["listed_but_do_not_run"] == ["AMX-INT8"]
    json.dumps(said)
