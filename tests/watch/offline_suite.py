"""The suite in offline mode, watched from outside: it may connect to nothing but this machine.

python -m tests.watch.offline_suite [--seconds N] [TESTS …]

Every noibo that the tests start is offline (but for tests of the door itself, which open it to what
does not exist). What strace sees of them, and of all they start, must be loopback, or an address of
this machine's own, by which some tests come "from elsewhere". Tests that fetch something on purpose
fail then, as they must: that is counted, and no fault of this.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from tests.watch.watching import Contact, Watch

ROOT = Path(__file__).parent.parent.parent
# All but those that watch by themselves: a process has one tracer.
ITSELF = "watch"
TESTS = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "tests").iterdir())
    if (path.is_dir() and path.name != ITSELF and any(path.glob("**/test_*.py")))
    or path.match("test_*.py")
]
CALLED = re.compile(r"(?:(\d+) failed)?(?:, )?(\d+) passed.* in ")
LEAST = 200  # tests that must have run for this to say anything


def run(tests: list[str], seconds: float) -> int:
    """0 where nothing left."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder) / "calls")
        pytest = (sys.executable, "-m", "pytest", "-q", "-x", "--maxfail=1000", "-m", "not heavy")
        there = [name for name in tests if (ROOT / name.partition("::")[0]).exists()]
        said = _finished([*watch.command, *pytest, *there], seconds)
        seen = watch.contacts()
        gone = watch.departures({*_own(seen)})
    failed, passed = _counts(said)
    kinds = collections.Counter(one.family for one in seen)
    print(said[-2000:])
    print(f"{passed} tests passed and {failed} did not; {len(seen)} addresses were named: {kinds}")
    for contact, count in collections.Counter(map(str, gone)).most_common():
        print(f"LEFT: {contact} ({count} times)")
    if passed < LEAST and len(tests) == len(TESTS):
        print(f"fewer than {LEAST} tests passed: that says nothing")
        return 2
    print("Nothing left this machine." if not gone else f"{len(gone)} calls left this machine.")
    return 1 if gone else 0


def _finished(command: list[str], seconds: float) -> str:
    """What a command says to its end, or until its time is over."""
    environ = os.environ | {"OFFLINE_SUITE": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children():
                child.send_signal(signal.SIGINT)  # pytest ends what it began, and says how far
            said, _ = process.communicate(timeout=120)
    return said


def _own(seen: list[Contact]) -> set[tuple[str, int]]:
    """Those of this machine's own addresses: no packet to them leaves it."""
    own = {one.address.partition("%")[0] for all_ in psutil.net_if_addrs().values() for one in all_}
    return {(one.host, one.port) for one in seen if one.host in own}


def _counts(said: str) -> tuple[int, int]:
    found = CALLED.findall(said)
    return (int(found[-1][0] or 0), int(found[-1][1])) if found else (0, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("tests", nargs="*", default=TESTS)
    asked = parser.parse_args()
    sys.exit(run(asked.tests, asked.seconds))
