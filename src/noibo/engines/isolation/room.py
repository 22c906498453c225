"""The closed room in which a worker reads a model: entered before the model is opened.

Two steps. `enter` closes off everything but what loading needs; the process may still open the one
port on which it will serve. `settle`, when it serves, takes that away too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from noibo.engines.isolation import landlock, limits, refusals, seccomp
from noibo.engines.isolation.landlock import Place
from noibo.engines.isolation.places import places
from noibo.engines.isolation.system_calls import renounce_new_privileges

TCP_SINCE, SIGNALS_SINCE = 4, 6  # Landlock's ABI
FILES_ALONE = 3  # the last that rules nothing else
SHARED = Path("/dev/shm")  # noqa: S108 - memory that processes share, by name
TALKS = landlock.OWN | landlock.Right.MAKE_SOCK  # sockets in the worker's own folder too


@dataclass(frozen=True, slots=True)
class Kept:
    """What a worker is kept from. `missing` says in words what this system does not offer.

    `files`: all but its own. `network`: protocols by which it reaches nobody, "tcp+udp" or less.
    `signals`: it cannot end other processes. `abi`: of Landlock, 0 for none.
    """

    files: bool = False
    network: str = ""
    signals: bool = False
    abi: int = 0
    seccomp: bool = False
    missing: tuple[str, ...] = ()

    def as_facts(self) -> dict[str, Any]:
        """Plain values, for the parent."""
        return dataclasses.asdict(self)


def enter(wanted: Mapping[str, Any]) -> Kept:
    """Close this process off, for good; called before its first thread and its first import of an
    engine, so that none of either escapes.

    `wanted` has `folder` (its own), `reads` (its model's files), `memory_bytes` and `open_files`,
    either of which may be null; perhaps `runs`, a program of the user's with its libraries,
    `keeps`, folders in which it may write too, and the `port` that it will listen on.
    """
    missing = limits.bound(wanted.get("memory_bytes"), wanted.get("open_files"))
    if sys.platform != "linux":
        return Kept(missing=("files, network: only Linux can close off a process", *missing))
    _tried(limits.give_up_privileges, "privileges", missing)
    limits.go_first(limits.WHILE_LOADING)
    if not _tried(renounce_new_privileges, "privileges of programs it starts", missing):
        return Kept(missing=tuple(missing))
    abi = _close_files(wanted, missing)
    if wanted.get("talks"):
        missing.append("network: its processes talk to each other by sockets")
        return Kept(files=abi > 0, abi=abi, missing=tuple(missing))
    closed = _tried(lambda: seccomp.refuse(refusals.at_the_door()), "system calls, UDP", missing)
    if closed and wanted.get("runs"):  # `settle` reaches this process, and not what it has started
        missing.append("new sockets, once it serves: its program runs already")
    tcp = closed or abi >= TCP_SINCE
    if not tcp:
        missing.append(f"TCP: it needs seccomp, or Landlock ABI {TCP_SINCE} (Linux 6.7)")
    return Kept(
        files=abi > 0,
        network="tcp+udp" if closed else "tcp" * tcp,
        signals=closed or abi >= SIGNALS_SINCE,
        abi=abi,
        seccomp=closed,
        missing=tuple(missing),
    )


def settle() -> None:
    """The worker listens: it needs no other socket from now on, and less memory than before."""
    if sys.platform != "linux":
        return
    limits.go_first(limits.WHILE_SERVING - limits.WHILE_LOADING)
    _tried(lambda: seccomp.refuse(refusals.once_serving()), "new sockets", [])


def _close_files(wanted: Mapping[str, Any], missing: list[str]) -> int:
    """The ABI of Landlock with which files were closed off; 0 if they were not."""
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads > 1:  # by a site's own start-up code: we have started none
        missing.append(f"files: {threads - 1} threads ran already and are not held")
    abi = landlock.version()
    if not abi:
        missing.append("files: this kernel has no Landlock (Linux 5.13, if it is switched on)")
        return 0
    reads, runs, keeps = (
        [Path(path) for path in wanted.get(name, ())] for name in ("reads", "runs", "keeps")
    )
    for path in keeps:
        with contextlib.suppress(OSError):  # then it may not write there
            path.mkdir(parents=True, exist_ok=True)
    kept = (Place(path, landlock.OWN) for path in keeps)
    allowed = chain(places(Path(wanted["folder"]), reads, runs), kept)
    if wanted.get("talks"):
        abi = min(abi, FILES_ALONE)
        allowed = chain(allowed, (Place(Path(wanted["folder"]), TALKS), Place(SHARED, TALKS)))
    closed = _tried(
        lambda: landlock.restrict(allowed, abi, wanted.get("port", 0)), "files", missing
    )
    return abi if closed else 0


def _tried(step: Callable[[], None], what: str, missing: list[str]) -> bool:
    try:
        step()
    except OSError as exc:
        missing.append(f"{what}: {exc.strerror}")
        return False
    return True
