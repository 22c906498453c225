"""`noibo privacy scan`: what a text says about people, for a person to read or a program.

With `--json` every line of the input is `{"id": …, "text": "…"}`, and every line of the output
`{"id": …, "spans": [{"start", "end", "label"}]}` in the same order, written as soon as it is known
where the lines come one by one.
"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from noibo.errors import UsageError

if TYPE_CHECKING:
    from noibo.cli.privacy_scan_batches import Answer, Batch
    from noibo.privacy.span import Span

    FindAll = Callable[[Sequence[str]], list[list[Span]]]

_STDIN: Final = "-"
_NEXT_STEP: Final = 'Each line is one object, such as {"id": "1", "text": "gọi 0912 345 678"}.'
_STYLES: Final = {"API_KEY": "bold red", "PRIVATE_KEY": "bold red", "PERSON": "bold cyan"}
_AT_ONCE: Final = 64  # texts that are looked through together
# Chats and exports say much more than once; the longer a text, the less likely.
_KEPT, _LONGEST_KEPT = 4096, 400


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

    with _opened(file) as source:
        if json:
            _answer(source)
            return
        if source.isatty():
            print("Type or paste a text; end it with Ctrl-D.", file=sys.stderr)
        text = _decoded(source.read(), file)
    _show(text, Detector().find(text))


def _answer(source: BinaryIO) -> None:
    from noibo.cli.privacy_scan_batches import answered, processes

    with closing(answered(source, look, processes())) as answers:
        for answer in answers:
            sys.stdout.write(answer.text)
            sys.stdout.flush()
            if answer.wrong:
                message, next_step = answer.wrong
                raise UsageError(message, next_step=next_step)


def look(batch: Batch) -> Answer:
    """The answers to a batch of lines, up to one that cannot be read."""
    from noibo.cli.privacy_scan_batches import Answer

    found: list[str] = []
    try:
        found.extend(answers(batch.lines, _known(), batch.first))
    except UsageError as error:
        return Answer("".join(found), (error.message, error.next_step))
    return Answer("".join(found))


@cache
def _known() -> FindAll:
    """The detector's `find_all`; what is short and said again is not looked through again."""
    from noibo.privacy.detector import Detector

    detector = Detector()
    known: dict[str, list[Span]] = {}

    def find_all(texts: Sequence[str]) -> list[list[Span]]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        found = dict(zip(new, detector.find_all(new), strict=True))
        answers = [found[text] if text in found else known[text] for text in texts]
        if len(known) > _KEPT:
            known.clear()
        known.update(one for one in found.items() if len(one[0]) < _LONGEST_KEPT)
        return answers

    return find_all


def answers(lines: Iterable[bytes], find_all: FindAll, first: int = 1) -> Iterator[str]:
    """One line of JSON for each of `lines` that is not empty; `first`: the number of the first.
    Raises `UsageError` with the number of the line for one that cannot be read; those before it
    have been answered."""
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line, number))
        except UsageError:
            yield from _told(entries, find_all)
            raise
        if len(entries) == _AT_ONCE:
            yield from _told(entries, find_all)
            entries = []
    yield from _told(entries, find_all)


def _told(entries: Sequence[dict[str, Any]], find_all: FindAll) -> Iterator[str]:
    found = find_all([entry["text"] for entry in entries])
    for entry, spans in zip(entries, found, strict=True):
        told = ", ".join(
            f'{{"start": {span.start}, "end": {span.end}, "label": "{span.label}"}}'
            for span in spans
        )
        # As Python's own: identifiers may be numbers, and any text can be said in ASCII.
        yield f'{{"id": {jsonlib.dumps(entry["id"])}, "spans": [{told}]}}\n'


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
    except ValueError:
        # What Python refuses to read, because it would take long.
        raise UsageError(
            f"Line {number} has a number of thousands of digits.", next_step=_NEXT_STEP
        ) from None
    if not isinstance(entry, dict):
        raise UsageError(f"Line {number} is not an object.", next_step=_NEXT_STEP)
    if "id" not in entry:
        raise UsageError(f'Line {number} has no "id".', next_step=_NEXT_STEP)
    if not isinstance(entry.get("text"), str):
        missing = "is not a string" if "text" in entry else "is missing"
        raise UsageError(f'Line {number}: "text" {missing}.', next_step=_NEXT_STEP)
    return entry


def _opened(file: str) -> BinaryIO:
    if file == _STDIN:
        if sys.stdin is None:
            raise UsageError(
                "There is no standard input: it is closed.", next_step="Name a file, or pipe one."
            )
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
