"""Texts with what must be found marked in them: `sđt [[PHONE|0912345678]] nhé`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
_MARK = re.compile(r"\[\[([A-Z_]+)\|(.*?)\]\](?!\])", re.DOTALL)


@dataclass(frozen=True)
class Marked:
    """A text, and where in it what stands: (start, end, label)."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


def read(name: str) -> list[Marked]:
    """The texts of a file, one a line, `\\n` and `\\t` as in code; `#` begins a remark."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [
        marked(line.replace("\\n", "\n").replace("\\t", "\t"))
        for line in lines
        if line and not line.startswith("# ")
    ]


def marked(line: str) -> Marked:
    """The text without its marks."""
    text, spans, done = "", [], 0
    for mark in _MARK.finditer(line):
        text += line[done : mark.start()]
        spans.append((len(text), len(text) + len(mark[2]), mark[1]))
        text += mark[2]
        done = mark.end()
    return Marked(text + line[done:], tuple(spans))
