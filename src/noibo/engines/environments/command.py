"""How a module of noibo's is run: by noibo's own interpreter, or by another environment's."""

from __future__ import annotations

import sys
from pathlib import Path

from noibo import settings
from noibo.engines.environments import bridge


def command(module: str, python: str = "") -> list[str]:
    """The program and its arguments; `python` is the other interpreter, empty: noibo's own."""
    if not python:
        return [settings.python_executable(), "-m", module]
    own = str(Path(settings.__file__).parent.parent)
    paths = [path for path in (own, *sys.path) if path and Path(path).is_absolute()]
    return [python, bridge.__file__, module, *dict.fromkeys(paths)]
