"""Run a module of noibo's in the Python of another environment.

That environment's own packages come first, the engine above all; what it has not (noibo itself, and
what noibo's worker modules import) comes from where noibo runs. Nothing of it is written down, so a
noibo that was moved or renewed is the one that runs.

Run by its path as a program: it is in no package that the other interpreter could import.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    module, *paths = sys.argv[1:]
    sys.argv = [module]
    sys.path += [path for path in paths if path not in sys.path]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
