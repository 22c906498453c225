"""Text that leaves noibo: in the encoding there is, and harmless.

A model can be led to say anything, the codes too that make a terminal change its title, its
clipboard or what stands in earlier lines. They are left out where a person reads, and only there.
"""

from __future__ import annotations

import io
import sys
from typing import Final

from noibo.errors import NoiboError

_CODES: Final = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})


def harmless(text: str) -> str:
    """`text` without control characters other than the end of a line and the tabulator."""
    return text.translate(_CODES)


def say(piece: str) -> None:
    """Write a piece of an answer at once: as it is, or harmless where a person reads."""
    sys.stdout.write(harmless(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


def say_error(error: NoiboError) -> None:
    """What happened and what to do next, on standard error."""
    print(f"noibo: {error.message}", file=sys.stderr)
    if error.next_step:
        print(f"       {error.next_step}", file=sys.stderr)


def say_what_can_be_said() -> None:
    """From now on, a character that the output's encoding lacks is escaped, and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
