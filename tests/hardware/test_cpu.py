"""Names and numbers of processors, and what a container leaves of them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from noibo.hardware import cgroup
from noibo.hardware.cpu import allowed_threads, cpu, name
from noibo.hardware.probe import memory_of
from tests.hardware.machines import machine

GIB = 2**30
V2 = {"proc/self/cgroup": "0::/user.slice/app\n"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model name\t: Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "Intel Core i7-8700"),
        ("model name\t: AMD Ryzen 9 7950X 16-Core Processor", "AMD Ryzen 9 7950X 16-Core"),
        ("Model\t\t: Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0"),
    ],
)
def test_the_name_without_what_tells_nothing(tmp_path: Path, line: str, said: str) -> None:
    assert name(machine(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{line}\n"})) == said


def test_where_the_kernel_has_only_numbers_lscpu_has_the_name(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n"}
    system = machine(tmp_path, files, {"lscpu": "Model name:  Neoverse-N1\n"}, kind="aarch64")
    assert name(system) == "Neoverse-N1"


def test_on_a_mac(tmp_path: Path) -> None:
    system = machine(tmp_path, tools={"sysctl": "Apple M2 Max\n"}, platform="darwin", kind="arm64")
    assert name(system) == "Apple M2 Max"


def test_a_quota_of_a_container_is_what_can_run_at_once(tmp_path: Path) -> None:
    files = V2 | {"sys/fs/cgroup/user.slice/cpu.max": "100000 100000\n"}
    found, notes = cpu(machine(tmp_path, files, kind="aarch64"))
    assert (found.cores, found.threads) == (1, 1)
    assert allowed_threads() == 1 or "may use 1 of" in notes[0]


@pytest.mark.parametrize(
    ("files", "most"),
    [
        (V2 | {"sys/fs/cgroup/user.slice/app/cpu.max": "max 100000\n"}, None),
        (V2 | {"sys/fs/cgroup/user.slice/app/cpu.max": "150000 100000\n"}, 1.5),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (V1 | {"sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1\n"}, None),
        (V2 | {"sys/fs/cgroup/user.slice/app/cpu.max": "garbage\n"}, None),
        ({}, None),
    ],
)
def test_quotas_of_both_versions(tmp_path: Path, files: dict[str, str], most: float | None) -> None:
    assert cgroup.processors(machine(tmp_path, files)) == most


@pytest.mark.parametrize(
    "files",
    [
        V2
        | {
            "sys/fs/cgroup/user.slice/app/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/user.slice/app/memory.current": f"{GIB}\n",
            "sys/fs/cgroup/user.slice/app/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{3 * GIB}\n",
        },
        V1
        | {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB // 4}\n",
        },
        V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
        {},
    ],
)
def test_memory_is_the_containers_where_it_has_a_limit(
    tmp_path: Path, files: dict[str, str]
) -> None:
    system = machine(tmp_path, files)
    total, available = memory_of(system)
    limit = cgroup.memory(system)
    assert (limit is None) == (total == psutil.virtual_memory().total)
    assert 0 < available <= total
    if limit is not None:
        assert (total, available) == (limit[0], limit[0] - limit[1])


def test_of_groups_with_the_same_limit_the_fuller_one_holds(tmp_path: Path) -> None:
    files = V2 | {
        f"sys/fs/cgroup/user.slice/{name}": f"{size}\n"
        for name, size in {
            "app/memory.max": GIB,
            "app/memory.current": 5,
            "memory.max": GIB,
            "memory.current": 9,
        }.items()
    }
    assert cgroup.memory(machine(tmp_path, files)) == (GIB, 9)


def test_numbers_longer_than_can_be_read_are_none(tmp_path: Path) -> None:
    long = "9" * 5000
    files = V2 | {
        "sys/fs/cgroup/user.slice/app/memory.max": long,
        "sys/fs/cgroup/user.slice/app/cpu.max": f"{long} 100000\n",
    }
    system = machine(tmp_path, files)
    assert (cgroup.memory(system), cgroup.processors(system)) == (None, None)
