"""`noibo privacy scan`: what a text says about people, for a person to read or a program.

With `--json` every line of the input is `{"id": …, "text": "…"}`, and every line of the output
`{"id": …, "spans": [{"start", "end", "label"}]}` in the same order, written as soon as it is known
where the lines come one by one.
"""

from __future__ import annotations

import json as jsonlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from noibo.errors import UsageError

if TYPE_CHECKING:
    from noibo.privacy.detector import Detector
    from noibo.privacy.span import Span

_STDIN = "-"
_NEXT_STEP = 'Each line is one object, such as {"id": "1", "text": "gọi 0912 345 678"}.'
_STYLES = {"API_KEY": "bold red", "PRIVATE_KEY": "bold red", "PERSON": "bold cyan"}


def scan(
    file: Annotated[
        str, typer.Argument(help="The file to look through; - reads standard input.")
    ] = _STDIN,
    json: Annotated[
        bool,
        typer.Option("--json", help='Read {"id","text"} lines, print {"id","spans"} lines.'),
    ] = False,
) -> None:
    """Find personal data and keys in a text, without any of it leaving this machine."""
    from noibo.privacy.detector import Detector

    detector = Detector()
    with _opened(file) as source:
        if json:
            waited_for = not _is_file(source)
            for answer in answers(source, detector):
                sys.stdout.write(answer)
                if waited_for:
                    sys.stdout.flush()
            return
        if source.isatty():
            print("Type or paste a text; end it with Ctrl-D.", file=sys.stderr)
        text = _decoded(source.read(), file)
    _show(text, detector.find(text))


def answers(lines: Iterable[bytes], detector: Detector) -> Iterator[str]:
    """One line of JSON for each of `lines` that is not empty. Raises `UsageError` with the number
    of the line for one that cannot be read; those before it have been answered."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _entry(line, number)
        spans = ", ".join(
            f'{{"start": {span.start}, "end": {span.end}, "label": "{span.label}"}}'
            for span in detector.find(entry["text"])
        )
        # As Python's own: identifiers may be numbers, and any text can be said in ASCII.
        yield f'{{"id": {jsonlib.dumps(entry["id"])}, "spans": [{spans}]}}\n'


def _entry(line: bytes, number: int) -> dict[str, Any]:
    try:
        # A byte order mark is what some editors begin a file with.
        entry = jsonlib.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"Line {number} is not UTF-8: {error.reason} at byte {error.start}.",
            next_step="Convert the file first: iconv -t UTF-8.",
        ) from None
    except jsonlib.JSONDecodeError as error:
        raise UsageError(
            f"Line {number} is not JSON: {error.msg} at character {error.pos + 1}.",
            next_step=_NEXT_STEP,
        ) from None
    except RecursionError:
        raise UsageError(f"Line {number} is nested too deeply.", next_step=_NEXT_STEP) from None
    if not isinstance(entry, dict):
        raise UsageError(f"Line {number} is not an object.", next_step=_NEXT_STEP)
    if "id" not in entry:
        raise UsageError(f'Line {number} has no "id".', next_step=_NEXT_STEP)
    if not isinstance(entry.get("text"), str):
        missing = "is not a string" if "text" in entry else "is missing"
        raise UsageError(f'Line {number}: "text" {missing}.', next_step=_NEXT_STEP)
    return entry


def _is_file(source: BinaryIO) -> bool:
    """Whether all of it is there already, so that nobody waits for the answer to one line."""
    try:
        return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _opened(file: str) -> BinaryIO:
    if file == _STDIN:
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}.",
            next_step="Name a file of text, or - for standard input.",
        ) from None


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "Standard input" if file == _STDIN else file
        raise UsageError(
            f"{name} is not UTF-8 text: {error.reason} at byte {error.start}.",
            next_step="Take the text out of the document first, or convert it: iconv -t UTF-8.",
        ) from None


def _show(text: str, spans: list[Span]) -> None:
    """The text with what was found marked in it, and a list with the line of each."""
    if sys.stdout.isatty():
        _show_on_terminal(text, spans)
        return
    width = max((len(span.label) for span in spans), default=0)
    for span, line, column in _places(text, spans):
        found = " ".join(text[span.start : span.end].split())
        print(f"{line}:{column}  {span.label:<{width}}  {found}")
    print(_sum(spans))


def _show_on_terminal(text: str, spans: list[Span]) -> None:
    from rich.console import Console
    from rich.text import Text

    from noibo.cli.terminal import harmless

    shown = Text()
    done = 0
    for span in spans:
        shown.append(harmless(text[done : span.start]))
        style = _STYLES.get(span.label, "bold yellow")
        shown.append(harmless(text[span.start : span.end]), style=style)
        shown.append(f"[{span.label}]", style="dim")
        done = span.end
    shown.append(harmless(text[done:]))
    console = Console()
    console.print(shown, soft_wrap=True)
    console.print(_sum(spans), style="dim", markup=False, highlight=False)


def _places(text: str, spans: list[Span]) -> Iterator[tuple[Span, int, int]]:
    """Each span with its line and column, both from 1."""
    line, begin = 1, 0
    for span in spans:
        line += text.count("\n", begin, span.start)
        begin = text.rfind("\n", 0, span.start) + 1
        yield span, line, span.start - begin + 1


def _sum(spans: list[Span]) -> str:
    if not spans:
        return "Nothing found."
    counted: dict[str, int] = {}
    for span in spans:
        counted[span.label] = counted.get(span.label, 0) + 1
    kinds = ", ".join(f"{label} {many}" for label, many in sorted(counted.items()))
    return f"{len(spans)} found: {kinds}"
