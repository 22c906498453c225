"""`noibo privacy verify, head`: the proof that the ledgers say what was written."""

from __future__ import annotations

from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from noibo.cli.context import settings
from noibo.cli.privacy_view import Language, print_checked
from noibo.errors import LedgerBroken, UsageError


class Which(StrEnum):
    """A ledger of this node."""

    egress = "egress"
    audit = "audit"


def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(help="A head that was kept elsewhere, or a file with such; repeatable."),
    ] = None,
    lang: Annotated[Language, typer.Option(help="Language of the words.")] = Language.en,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
        print(dumps([_told(one) for one in found], indent=2, ensure_ascii=False))
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
