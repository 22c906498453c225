"""Single keys, as they are pressed, without Enter."""

from __future__ import annotations

import sys
import time
from typing import Any, Self


class Keys:
    """The keyboard of this terminal, from `with` to the end of it. Ctrl-C stays Ctrl-C."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32" and self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str:
        """The key that is pressed within so many seconds; empty for none."""
        if sys.platform == "win32":
            return _pressed_on_windows(seconds)
        import os
        import select

        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        return os.read(sys.stdin.fileno(), 64).decode(errors="ignore")[:1] or "q"  # hung up


def _pressed_on_windows(seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sys.platform == "win32":
            import msvcrt

            if msvcrt.kbhit():
                return msvcrt.getwch()
        time.sleep(0.05)
    return ""
