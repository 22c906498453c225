"""Which files a worker needs: its program and libraries, what tells of the hardware, its model.

Everything else is out of its reach, the user's home first of all. The lists name what engines and
the drivers of GPUs are known to read; what is not there on a machine is passed over.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from noibo import settings
from noibo.engines.isolation.landlock import OWN, READ, RUN, USE_DEVICE, Place, Right

PROGRAMS: Final = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/opengl-driver",
    "/run/opengl-driver-32",
)
TOLD_BY_THE_SYSTEM: Final = (  # of /etc by name: keys and passwords lie there too
    "/proc",
    "/sys",
    "/etc/OpenCL",
    "/etc/alternatives",
    "/etc/drirc",
    "/etc/glvnd",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/nv_tegra_release",
    "/etc/nvidia",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/vulkan",
)
DEVICES: Final = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/accel",
    "/dev/davinci*",
    "/dev/devmm_svm",
    "/dev/dma_heap",
    "/dev/dri",
    "/dev/dxg",
    "/dev/hisi_hdc",
    "/dev/kfd",
    "/dev/kgsl*",
    "/dev/mali*",
    "/dev/nvhost*",
    "/dev/nvidia*",
    "/dev/nvmap",
    "/dev/udmabuf",
)
OWN_BADNESS: Final = Path("/proc/self/oom_score_adj")


def places(folder: Path, reads: Sequence[Path], runs: Sequence[Path] = ()) -> Iterator[Place]:
    """All that a worker may open: `folder` is its own, `reads` are its model's files, each by name,
    `runs` a program and its libraries, each by name too.

    What a link names is allowed with it; links inside a folder of `reads` lead nowhere, for they
    came with the model."""
    yield Place(folder, OWN)
    shut = (folder.resolve(), *_home())
    narrow = (path for path in chain(_python(), _libraries()) if not _holds(path, shut))
    for path in chain(map(Path, PROGRAMS), narrow, runs):
        yield Place(path, RUN)
    for path in chain(map(Path, TOLD_BY_THE_SYSTEM), reads):
        yield Place(path, READ)
    for pattern in DEVICES:
        for found in glob.glob(pattern):  # noqa: PTH207 - an absolute pattern
            yield Place(Path(found), USE_DEVICE)
    yield Place(OWN_BADNESS, Right.WRITE_FILE | Right.READ_FILE)


def _python() -> Iterable[Path]:
    """The interpreter and all it imports from."""
    said = (*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    return map(Path, filter(None, said))


def _libraries() -> Iterable[Path]:
    said = settings.bare_environment().get("LD_LIBRARY_PATH", "")
    return map(Path, filter(None, said.split(os.pathsep)))


def _holds(path: Path, shut: Iterable[Path]) -> bool:
    """True if it is, or is above, a folder whose whole content must not be run or read."""
    real = path.resolve()
    return any(one.is_relative_to(real) for one in shut)


def _home() -> Iterable[Path]:
    """The user's home, by the system's own list: the environment may say anything."""
    import pwd

    with contextlib.suppress(KeyError):  # a user by number only, as in containers
        yield Path(pwd.getpwuid(os.getuid()).pw_dir).resolve()
