"""Charts as SVG that stands in a page: no script, no style of its own but class names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from noibo.evaluation.statistics import Estimate
from noibo.evaluation.words import estimate_text

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 26
KINDS: Final = 6  # of colours and of marks, then they come again
_APART: Final = 9.0  # between the sides' marks at one number of callers
_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One side: a value for each number of callers, in their order."""

    name: str
    values: Sequence[Estimate | None]


def chart(title: str, callers: Sequence[int], series: Sequence[Series]) -> str:
    """A line for each side over the numbers of callers, with the intervals as bars."""
    top = _top(series)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(top),
        *(
            f'<text class="tick" x="{_x(place, len(callers)):.1f}" y="{HEIGHT - 8}" '
            f'text-anchor="middle">{many}</text>'
            for place, many in enumerate(callers)
        ),
    ]
    for which, one in enumerate(series):
        shift = _APART * (which - (len(series) - 1) / 2) if len(callers) > 1 else 24 * which
        parts += _drawn(which, one, callers, top, shift)
    return "".join([*parts, "</svg>"])


def mark(which: int) -> str:
    """A side's mark, for a legend."""
    return (
        f'<svg class="mark" viewBox="-8 -8 16 16" aria-hidden="true">{_mark(which, 0, 0, "")}</svg>'
    )


def _top(series: Sequence[Series]) -> float:
    """A round number above all values."""
    values = [found.high or found.value or 0.0 for one in series for found in one.values if found]
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    step = float(10 ** math.floor(math.log10(most)))
    return next(step * by for by in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 20) if step * by >= most)


def _grid(top: float) -> Iterator[str]:
    for line in range(_LINES + 1):
        value = top * line / _LINES
        y = _y(value, top)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield (
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_tick(value)}</text>"
        )


def _tick(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:.4g}"


def _drawn(
    which: int, one: Series, callers: Sequence[int], top: float, shift: float
) -> Iterator[str]:
    points = [
        (_x(place, len(callers)) + shift, _y(found.value, top), many, found)
        for place, (many, found) in enumerate(zip(callers, one.values, strict=True))
        if found is not None and found.value is not None
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    yield f'<polyline class="line s{which % KINDS}" points="{line}"/>'
    for x, _, _, found in points:
        if found.low is not None and found.high is not None:
            low, high = _y(found.low, top), _y(found.high, top)
            yield (
                f'<line class="bar s{which % KINDS}" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{low:.1f}" y2="{high:.1f}"/>'
            )
    for x, y, many, found in points:
        yield _mark(which, x, y, f"{one.name}, {many}: {estimate_text(found)}")


def _mark(which: int, x: float, y: float, title: str) -> str:
    """A form of its own for each side, so that colour is not all that tells them apart."""
    said = f"<title>{escape(title)}</title>" if title else ""
    colour = f'class="point s{which % KINDS}"'
    forms = (
        "M-4.5,-4.5H4.5V4.5H-4.5Z",
        "M0,-5.5L5.2,4H-5.2Z",
        "M0,-6L6,0L0,6L-6,0Z",
        "M0,5.5L5.2,-4H-5.2Z",
        "M-5,-1.6H-1.6V-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5Z",
    )
    if which % KINDS == 0:
        return f'<circle {colour} cx="{x:.1f}" cy="{y:.1f}" r="4.5">{said}</circle>'
    form = forms[which % KINDS - 1]
    return f'<path {colour} transform="translate({x:.1f} {y:.1f})" d="{form}">{said}</path>'


def _x(place: int, many: int) -> float:
    room = WIDTH - LEFT - RIGHT
    return LEFT + room * (place + 0.5) / many


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value / top, 1.0)
