"""One line on a terminal that comes and goes: what a server says while one waits for an answer."""

from __future__ import annotations

import shutil
import sys
from typing import Final

from noibo.cli.terminal import harmless

_FROM_THE_START: Final = "\r\x1b[K"
_NO_NEWS: Final = "alive"


class Note:
    """Shows the last thing it was told; elsewhere than on a terminal nothing is shown."""

    def __init__(self) -> None:
        self._shown = False

    def __call__(self, remark: str) -> None:
        """Show a remark in the place of the one before."""
        if remark == _NO_NEWS or not sys.stderr.isatty():
            return
        room = shutil.get_terminal_size().columns - 1
        sys.stderr.write(_FROM_THE_START + harmless(remark).replace("\n", " ")[:room])
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Leave the line as it was."""
        if self._shown:
            sys.stderr.write(_FROM_THE_START)
            sys.stderr.flush()
            self._shown = False
