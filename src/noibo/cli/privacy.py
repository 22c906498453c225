"""`noibo privacy`: what left this machine, the proof of it, and what is kept about whom."""

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
from noibo.cli.privacy_audit import audit
from noibo.cli.privacy_people import erase_person, export_person, find_person
from noibo.cli.privacy_retain import retain
from noibo.cli.privacy_scan import scan
from noibo.cli.privacy_seal import new_key, reseal
from noibo.cli.privacy_view import (
    Language,
    print_checked,
    print_departures,
    print_earlier,
    print_sums,
)
from noibo.errors import LedgerBroken, UsageError

if TYPE_CHECKING:
    from noibo.egress_ledger import Departed

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
In = Annotated[Language, typer.Option(help="Language of the words around the numbers.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show what left this machine; export, erase what is kept of a person.",
)


class Which(StrEnum):
    """A ledger of this node."""

    egress = "egress"
    audit = "audit"


class By(StrEnum):
    """What departures are added up by."""

    day = "day"
    destination = "destination"
    purpose = "purpose"
    user = "user"
    label = "label"


app.command("audit")(audit)
app.command("find-person")(find_person)
app.command("export-person")(export_person)
app.command("erase-person")(erase_person)
app.command("retain")(retain)
app.command("new-key")(new_key)
app.command("reseal")(reseal)
app.command("scan")(scan)


@app.callback()
def _group() -> None:
    """Show what left this machine; export, erase what is kept of a person."""


@app.command()
def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(help="A head that was kept elsewhere, or a file with such; repeatable."),
    ] = None,
    lang: In = Language.en,
    json: Json = False,
) -> None:
    """Check that no row of the ledgers was changed, cut or taken away."""
    from noibo.ledger.check import check

    home = settings().home
    heads = [one for said in head or () for one in _heads(said)]
    for one in heads:
        if one.ledger not in set(Which):
            raise UsageError(f"There is no ledger {one.ledger!r} here.")
    found = [
        check(home / f"{which}.jsonl", [one for one in heads if one.ledger == which])
        for which in Which
    ]
    if json:
        _print_json([_told(one) for one in found])
    else:
        for one in found:
            print_checked(one, lang)
    broken = sum(len(one.faults) + one.untold for one in found)
    if broken:
        count = "One fault was" if broken == 1 else f"{broken} faults were"
        raise LedgerBroken(
            f"{count} found: what the ledgers say is not what was written.",
            next_step=f"Copy {home} away as it is. `noibo privacy verify --head FILE`, with a head"
            " that was kept elsewhere, says up to which row they agree; docs/privacy_ledger.md says"
            " what each fault means.",
        )


@app.command()
def head(
    ledger: Annotated[Which, typer.Option(help="Whose head: egress or audit.")] = Which.egress,
) -> None:
    """Print the signed head of a ledger: one line, to be kept elsewhere."""
    from noibo.ledger.head import read_head

    found = read_head(settings().home / f"{ledger}.head")
    if found is None:
        raise UsageError(
            f"The ledger {ledger} has no head: nothing was written to it yet, or it is gone.",
            next_step="`noibo privacy verify` says which.",
        )
    print(found)


@app.command()
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


@app.command()
def sent(
    file: Annotated[Path, typer.Argument(help="A file with exactly the bytes in question.")],
    json: Json = False,
) -> None:
    """Say whether exactly these bytes ever left, and when."""
    from noibo.cli.privacy_names import Names
    from noibo.egress_ledger import FILE_NAME, departures, digest_of
    from noibo.ledger.node import find_node

    tree = settings()
    try:
        content = digest_of(file)
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {exc.strerror}.") from exc
    node, names = find_node(tree.home), Names.known(tree)
    found = [
        one
        for one in departures(tree.home / FILE_NAME)
        if node is not None and one.bytes == content.size and one.carried(content, node)
    ]
    if json:
        _print_json([names.told(one) for one in found])
    elif found:
        print_departures(found, names.of, Language.en)
    else:
        print("These bytes, as one body, never left by the door of this node.")


def _latest(found: Iterable[Departed], most: int) -> tuple[list[Departed], int]:
    """The latest of them, and how many there are in all; no more than these in memory."""
    count = itertools.count()
    counted = (one for one, _ in zip(found, count, strict=False))
    latest = heapq.nlargest(most, counted, key=lambda one: (one.time, one.number))
    return latest[::-1], next(count)


def _heads(said: str) -> list[Any]:
    """The heads that a text or a file has. Raises `UsageError`."""
    from noibo.ledger.head import Head

    text = said
    if "noibo-head " not in said:
        try:
            text = Path(said).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError) as exc:
            raise UsageError(
                f"{said[:200]!r} is neither a head nor a file with one.",
                next_step="A head begins with noibo-head: `noibo privacy head` prints it.",
            ) from exc
    lines = [line for line in text.splitlines() if "noibo-head" in line]
    return [Head.read(line) for line in lines] or [Head.read(text)]


def _day(said: str | None, option: str) -> date | None:
    if said is None:
        return None
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise UsageError(
            f"{option} {said[:40]!r} is no day.", next_step="Write it as 2026-11-23."
        ) from None


def _told(found: Any) -> dict[str, Any]:
    return {
        "ledger": found.ledger,
        "sound": found.sound,
        "rows": found.rows,
        "first": found.first,
        "last": found.last,
        "hash": found.hash,
        "key": found.key,
        "faults": found.faults,
        "more_faults": found.untold,
        "notes": found.notes,
        "heads_found": found.contains,
    }


def _print_rows(rows: list[dict[str, Any]], json: bool) -> None:
    if json:
        _print_json(rows)
    elif rows:
        from noibo.usage.csv_text import csv_text

        sys.stdout.write(csv_text(list(rows[0]), (list(row.values()) for row in rows)))


def _print_json(value: Any) -> None:
    print(dumps(value, indent=2, ensure_ascii=False))
