"""What the machine has, what a container may use of it, and what a process holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from noibo.engines.memory.machine import Machine, amount
from noibo.errors import SettingsError
from noibo.hardware import cgroup
from noibo.hardware.system import System

MIB = 2**20
HOLDER = "held = bytearray({size}); held[::4096] = b'x' * len(held[::4096]); {then}"
WAIT = "print('ready', flush=True); import sys; sys.stdin.read()"
CHILD = (
    "import subprocess, sys; "
    "child = subprocess.Popen([sys.executable, '-c', {code!r}], stdin=sys.stdin); child.wait()"
)


def group(folder: Path, **values: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in values.items():
        (folder / name.replace("__", ".")).write_text(text)


def cgroups(root: Path, listed: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(listed)
    return root / "sys/fs/cgroup"


def test_a_limit_above_holds_for_the_groups_below(tmp_path: Path) -> None:
    mounted = cgroups(tmp_path, "0::/a/b\n")
    group(mounted / "a/b", memory__max="max\n", memory__current="5\n")
    stat = "anon 1\ninactive_file 300\n"
    group(mounted / "a", memory__max="4000\n", memory__current="1000\n", memory__stat=stat)
    group(mounted, memory__max="9000\n", memory__current="1000\n")
    assert cgroup.memory(System(tmp_path)) == (4000, 700)
    machine = Machine(tmp_path)
    assert (machine.total(), machine.available()) == (4000, 3300)


def test_version_1_is_read_too(tmp_path: Path) -> None:
    mounted = cgroups(tmp_path, "9:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    stat = "total_inactive_file 100\n"
    group(  # mounted inside the container, its own group is the root
        mounted / "memory",
        memory__limit_in_bytes="2000\n",
        memory__usage_in_bytes="600\n",
        memory__stat=stat,
    )
    assert cgroup.memory(System(tmp_path)) == (2000, 500)


@pytest.mark.parametrize("listed", ["", "rubbish\n", "0::/../../x\n", "4:memory:/\n"])
def test_no_limit_is_the_whole_machine(tmp_path: Path, listed: str) -> None:
    mounted = cgroups(tmp_path, listed)
    group(mounted / "memory", memory__limit_in_bytes="9223372036854771712\n")
    group(mounted, memory__max="max\n")
    assert cgroup.memory(System(tmp_path)) is None
    assert Machine(tmp_path).total() == psutil.virtual_memory().total


def test_what_a_process_and_its_children_hold_is_counted() -> None:
    inner = HOLDER.format(size=40 * MIB, then=WAIT)
    outer = HOLDER.format(size=20 * MIB, then=CHILD.format(code=inner))
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held = Machine().held_by(process.pid)
        alone = Machine().held_alone(process.pid)
        process.communicate()
    assert 60 * MIB < held <= alone < 120 * MIB
    assert Machine().held_by(process.pid) == Machine().held_alone(process.pid) == 0


def test_amounts_are_shares_or_sizes() -> None:
    assert amount("75%", 1000, "x") == 750
    assert amount("8GB", 0, "x") == 8 * 10**9
    assert amount(" 1.5 GiB", 0, "x") == 3 * 2**29
    assert amount("500m", 0, "x") == 500 * 10**6
    assert amount("12", 0, "x") == 12
    with pytest.raises(SettingsError, match=r"memory\.budget"):
        amount("much", 0, "memory.budget")
