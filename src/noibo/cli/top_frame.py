"""One frame of `noibo top`: lines that fit a terminal, from two readings of a server. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from noibo.cli.amounts import short_seconds, short_size, size
from noibo.wire.management import QueueRow, WaitingRow, WorkerRow

BAR: Final = 20
SMALL_BAR: Final = 8
NARROWEST: Final = 76
STATES: Final = {"starting": "loads", "stopping": "stops"}
_DIM, _BOLD, _FULL = "dim", "bold", "green"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server said at one moment."""

    at: float
    url: str
    workers: list[WorkerRow]
    queue: QueueRow


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second: of prompts really read, and written; `reused` of all prompt tokens."""

    read: float | None = None
    written: float | None = None
    reused: float | None = None

    @classmethod
    def between(cls, now: WorkerRow, before: WorkerRow | None, seconds: float) -> Rates:
        """What a worker's counters have moved in so many seconds."""
        reused = now.tokens_reused / now.tokens_in if now.tokens_in else None
        if before is None or before.pid != now.pid or seconds <= 0:
            return cls(reused=reused)
        read = (now.tokens_in - now.tokens_reused) - (before.tokens_in - before.tokens_reused)
        written = now.tokens_out - before.tokens_out
        return cls(max(read, 0) / seconds, max(written, 0) / seconds, reused)


def frame(now: Reading, before: Reading | None, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` characters."""
    width = max(width, NARROWEST)
    rates = _rates(now, before)
    head = _head(now, rates)
    waiting = now.queue.waiting
    room = max(height - len(head) - (3 if waiting else 2), 2)
    most_waiting = min(len(waiting), max(room // 2, room - len(now.workers)))
    workers = [_worker(row, rates[row.seat], now, width) for row in now.workers]
    lines = [*head, Text(), _titles(_WORKERS, width), *_fitting(workers, room - most_waiting)]
    if waiting:
        waiters = [_waiter(row, width) for row in waiting]
        lines += [_titles(_WAITING, width), *_fitting(waiters, most_waiting)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines[:height]


def _rates(now: Reading, before: Reading | None) -> dict[str, Rates]:
    known = {row.seat: row for row in before.workers} if before else {}
    seconds = now.at - before.at if before else 0.0
    return {row.seat: Rates.between(row, known.get(row.seat), seconds) for row in now.workers}


def _fitting(lines: list[Text], room: int) -> Iterator[Text]:
    if len(lines) <= room:
        yield from lines
        return
    yield from lines[: room - 1]
    yield Text(f"… and {len(lines) - room + 1} more", style=_DIM)


# ── the head ────────────────────────────────────────────────────────────────


def _head(now: Reading, rates: dict[str, Rates]) -> list[Text]:
    queue = now.queue
    memory = Text("memory ").append_text(_bar(queue.held_bytes, queue.budget_bytes, BAR))
    memory.append(f" {size(queue.held_bytes)} held of {size(queue.budget_bytes)} for models")
    read = sum(one.read or 0.0 for one in rates.values())
    written = sum(one.written or 0.0 for one in rates.values())
    does = f"{len(now.workers)} loaded, {len(queue.answering)} answering, "
    does += f"{len(queue.waiting)} waiting (at most {queue.longest}); "
    does += f"tokens/s: {read:.0f} read, {written:.1f} written"
    return [Text(f"noibo on {now.url}", style=_BOLD), memory, Text(does)]


def _bar(part: float, whole: float, width: int) -> Text:
    share = min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0
    full = round(share * width)
    bar = Text("[")
    bar.append("#" * full, style=_FULL if share < 0.9 else "red")
    return bar.append("-" * (width - full) + "]")


# ── tables ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Column:
    """`width` 0: it takes what the others leave."""

    title: str
    width: int
    right: bool = False


_WORKERS: Final = (
    _Column("MODEL", 0),
    _Column("STATE", 6),
    _Column("BUSY", 5, right=True),
    _Column("MEMORY", SMALL_BAR + 2),
    _Column("HELD", 4, right=True),
    _Column("PEAK", 4, right=True),
    _Column("PRED", 4, right=True),
    _Column("IN/S", 5, right=True),
    _Column("OUT/S", 5, right=True),
    _Column("REUSE", 5, right=True),
    _Column("STAYS", 5, right=True),
)
_WAITING: Final = (
    _Column("PLACE", 5, right=True),
    _Column("CALLER", 20),
    _Column("PRIORITY", 11),
    _Column("MODEL", 0),
    _Column("WAITED", 6, right=True),
    _Column("EXPECTED", 8, right=True),
    _Column("WHY", 7),
)


def _titles(columns: Sequence[_Column], width: int) -> Text:
    line = _line(columns, [column.title for column in columns], width)
    line.stylize(_DIM)
    return line


def _line(columns: Sequence[_Column], cells: Sequence[str | Text], width: int) -> Text:
    left = width - sum(column.width + 1 for column in columns) + 1
    line = Text()
    for column, cell in zip(columns, cells, strict=True):
        wide = column.width or left
        said = Text(_cut(cell, wide)) if isinstance(cell, str) else cell
        room = " " * (wide - len(said))
        line.append(room if column.right else "").append_text(said)
        line.append("" if column.right else room).append(" ")
    line.rstrip()
    return line


def _cut(text: str, room: int) -> str:
    """As much of a text as fits; what is left out is left out in the middle."""
    if len(text) <= room:
        return text
    end = (room - 1) // 2
    return f"{text[: room - 1 - end]}…{text[len(text) - end :]}"


# ── rows ────────────────────────────────────────────────────────────────────


def _worker(row: WorkerRow, rates: Rates, now: Reading, width: int) -> Text:
    cells: list[str | Text] = [
        row.seat,
        STATES.get(row.state, row.state),
        f"{row.requests}/{row.slots}",
        _bar(row.memory_bytes, now.queue.budget_bytes, SMALL_BAR),
        short_size(row.memory_bytes),
        short_size(row.peak_bytes),
        short_size(row.predicted_bytes),
        _number(rates.read, 0),
        _number(rates.written, 1),
        "-" if rates.reused is None else f"{100 * rates.reused:.0f}%",
        _stays(row, now.at),
    ]
    return _line(_WORKERS, cells, width)


def _stays(row: WorkerRow, now: float) -> str:
    if row.pinned:
        return "pin"
    if row.requests:
        return "busy"
    return "ever" if row.keep_until is None else short_seconds(row.keep_until - now)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _waiter(row: WaitingRow, width: int) -> Text:
    waited = short_seconds(row.waited_s)
    expected = "?" if row.expected_s is None else short_seconds(row.expected_s)
    cells = [str(row.place), row.caller, row.priority, row.model, waited, expected, row.why]
    return _line(_WAITING, cells, width)
