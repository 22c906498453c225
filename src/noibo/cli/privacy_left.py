"""`noibo privacy report, sent`: what left this machine."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_view import (
    FORMER_KEY,
    Language,
    print_departures,
    print_earlier,
    print_sums,
)
from noibo.errors import UsageError

if TYPE_CHECKING:
    from noibo.egress_ledger import Departed

In = Annotated[Language, typer.Option(help="Language of the words around the numbers.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class By(StrEnum):
    """What departures are added up by."""

    day = "day"
    destination = "destination"
    purpose = "purpose"
    user = "user"
    label = "label"


def report(
    since: Annotated[str | None, typer.Option(help="First day, as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, as 2026-11-30.")] = None,
    by: Annotated[
        By | None, typer.Option(help="Add up by day, destination, purpose, user or label.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only what left for this user or key.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest are listed.")] = 200,
    lang: In = Language.en,
    json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show what left this machine: when, where to, why, and how much."""
    from noibo.cli.privacy_names import Names
    from noibo.egress_ledger import FILE_NAME, Span, departures, summed

    tree = settings()
    names = Names.known(tree)
    span = Span(_day(since, "--since"), _day(until, "--until"))
    found = departures(tree.home / FILE_NAME, span)
    if user is not None:
        _tell_former(names.require_key(tree.home / FILE_NAME), lang)
        mine = names.pseudonym(user)
        found = (one for one in found if mine and one.user == mine)
    if by is not None:
        sums = summed(found, by.value, names.of)
        if json or as_csv:
            _print_rows([names.told_sum(one) for one in sums], json)
        else:
            print_sums(sums, by.value, lang)
        return
    if json or as_csv:
        rows = sorted(found, key=lambda one: one.time)
        _print_rows([names.told(one) for one in rows], json)
        return
    latest, count = _latest(found, last)
    print_departures(latest, names.of, lang)
    print_earlier(count - len(latest), lang)


def sent(
    file: Annotated[Path, typer.Argument(help="A file with exactly the bytes in question.")],
    json: Json = False,
) -> None:
    """Say whether exactly these bytes ever left, and when."""
    from noibo.cli.privacy_names import Names
    from noibo.egress_ledger import FILE_NAME, departures, digest_of

    tree = settings()
    try:
        content = digest_of(file)
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {exc.strerror}.") from exc
    names = Names.known(tree)
    former = names.require_key(tree.home / FILE_NAME)
    _tell_former(former, Language.en)
    found = [
        one
        for one in departures(tree.home / FILE_NAME)
        if one.bytes == content.size and names.node and one.carried(content, names.node)
    ]
    if json:
        _print_json([names.told(one) for one in found])
    elif found:
        print_departures(found, names.of, Language.en)
    else:
        since = f" after row {former}" if former else ""
        print(f"These bytes, as one body, never left by the door of this node{since}.")


def _tell_former(last: int, lang: Language) -> None:
    if last:
        print(FORMER_KEY[lang].format(last=last), file=sys.stderr)


def _latest(found: Iterable[Departed], most: int) -> tuple[list[Departed], int]:
    """The latest of them, and how many there are in all; no more than these in memory."""
    count = itertools.count()
    counted = (one for one, _ in zip(found, count, strict=False))
    latest = heapq.nlargest(most, counted, key=lambda one: (one.time, one.number))
    return latest[::-1], next(count)


def _day(said: str | None, option: str) -> date | None:
    if said is None:
        return None
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise UsageError(
            f"{option} {said[:40]!r} is no day.", next_step="Write it as 2026-11-23."
        ) from None


def _print_rows(rows: list[dict[str, Any]], json: bool) -> None:
    if json:
        _print_json(rows)
    elif rows:
        from noibo.usage.csv_text import csv_text

        sys.stdout.write(csv_text(list(rows[0]), (list(row.values()) for row in rows)))


def _print_json(value: Any) -> None:
    print(dumps(value, indent=2, ensure_ascii=False))
