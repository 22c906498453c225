"""Checks a ledger: that its rows are what was written, all of them, and by this node.

What is found is said row by row. A *fault* is what cannot come of a crash: a row that was changed,
is gone or stands elsewhere, a head that is gone or of another key. A *note* is what a crash leaves
behind, or what somebody did on purpose and the ledger says itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from noibo.errors import LedgerError
from noibo.ledger.checked import Checked, are, said
from noibo.ledger.head import Head, read_head
from noibo.ledger.marks import Marks
from noibo.ledger.node import Node, find_node, is_private
from noibo.ledger.own_rows import OwnRows
from noibo.ledger.places import NOTHING, Places
from noibo.ledger.row import Row
from noibo.ledger.tail import is_unchained
from noibo.ledger.walk import Foreign, Place, opened, walk

_BEFORE_CLOSING: Final = frozenset({"missing", "rewritten", "head_lost", "begun_again"})  # rows


def check(current: Path, heads: Sequence[Head] = ()) -> Checked:
    """Read all of a ledger. `heads`: kept elsewhere, each to be found in it. Raises `LedgerError`
    where it cannot be read at all."""
    return _Check(Places(current), heads).run()


class _Check:
    def __init__(self, places: Places, heads: Sequence[Head]) -> None:
        self._places = places
        self._found = Checked(places.name)
        self._asked = heads
        self._begins_after: Row | None = None  # the first row, where it is not number 1
        self._own = OwnRows(places, self._found)
        self._marks = Marks(None)
        self._foreign: tuple[Place, Foreign] | None = None

    def run(self) -> Checked:
        found = self._found
        signed = self._signed_head()  # before the rows: they only ever run ahead of it
        self._marks = Marks(self._key(signed))
        stack, files = opened(self._places)
        wanted = {head.number for head in (*self._asked, *([signed] if signed else []))}
        digests = {0: NOTHING}
        with stack:
            for place, one in walk([] if self._is_from_before() else files):
                if isinstance(one, Foreign):
                    self._foreign_is_over()
                    self._foreign = (place, one)
                    continue
                self._take(place, one)
                if one.number in wanted:
                    digests[one.number] = one.hash
        self._end(signed)
        for words in self._marks.faults():
            found.fault(words)
        if signed is not None:
            self._compare(signed, digests)
        for head in self._asked:
            self._look_for(head, digests)
        self._look_at_key(signed)
        return found

    # ── rows ────────────────────────────────────────────────────────────────

    def _take(self, place: Place, row: Row) -> None:
        self._close(row)
        found = self._found
        gone = row.kind == "missing" and row.fields.get("last") == row.number - 1
        if found.last == 0:
            found.first = row.number
            if row.number != 1 and not gone:
                self._begins_after = row
            elif row.number == 1 and row.previous != NOTHING:
                found.fault(f"row 1 ({place}) is not the beginning: it says that there was more.")
        elif row.number != found.last + 1 and not (gone and row.number > found.last):
            found.fault(_order(place, row.number, found.last))
        elif found.hash and row.previous != found.hash and not gone:
            found.fault(
                f"row {row.number} ({place}) does not follow row {found.last} as it stands: one of"
                " the two was rewritten."
            )
        for words in self._own.faults(row, place):
            found.fault(words)
        self._marks.look_at(row, place)
        found.rows += 1
        found.last, found.hash = row.number, row.hash

    def _close(self, row: Row) -> None:
        """Foreign bytes before a row: it says what they are, or they are a fault."""
        if self._foreign is not None and row.kind == "closed_off":
            place, foreign = self._foreign
            if foreign.is_what(row):
                self._found.notes.append(
                    f"{place}: {row.fields['bytes']} bytes of a row that was never whole (its"
                    f" writer died); row {row.number} closes them off."
                )
                self._foreign = None
        if row.kind not in _BEFORE_CLOSING:
            self._foreign_is_over()

    def _foreign_is_over(self) -> None:
        if self._foreign is not None:
            place, foreign = self._foreign
            self._foreign = None
            if foreign.numbers is None or foreign.numbers[0] != self._found.last + 1:
                self._found.fault(f"{place}: {foreign.why}.")
                return
            first, last = foreign.numbers
            self._found.fault(f"{said(first, last)} ({place}): {foreign.why}.")
            self._found.last, self._found.hash = last, foreign.hash

    # ── ends ────────────────────────────────────────────────────────────────

    def _end(self, signed: Head | None) -> None:
        found, first = self._found, self._begins_after
        if self._foreign is not None and not self._foreign[1].ends_a_line:
            place, _ = self._foreign
            found.notes.append(
                f"{place}: the last line is not whole (its writer died); the next row closes it"
                " off."
            )
            self._foreign = None
        self._foreign_is_over()
        if first is not None and self._own.pruned.get(first.number - 1) != first.previous:
            rows = are(1, first.number - 1)
            found.fault(f"{rows} missing: the ledger begins with row {first.number}.")
        if signed is None and found.rows:
            found.fault(f"the signed head ({self._places.head.name}) is gone, or is no head.")

    def _compare(self, signed: Head, digests: dict[int, str]) -> None:
        found = self._found
        if signed.number > found.last:
            rows = are(found.last + 1, signed.number)
            found.fault(f"{rows} missing at the end: the head of {signed.time} signed them.")
        elif digests.get(signed.number) != signed.hash:
            found.fault(f"row {signed.number} is not the one that was signed at {signed.time}.")
        elif signed.number < found.last:
            found.notes.append(
                f"{are(signed.number + 1, found.last)} later than the signed head: a crash came"
                " between, or they are just being written."
            )

    def _look_for(self, head: Head, digests: dict[int, str]) -> None:
        found = self._found
        if head.ledger != self._places.name:
            found.fault(f"the head is of the ledger {head.ledger}, not of {self._places.name}.")
        elif head.number > found.last:
            rows = are(found.last + 1, head.number)
            found.fault(f"{rows} missing at the end: the head of {head.time} names them.")
        elif digests.get(head.number) == head.hash:
            found.contains.append(head.number)
        elif head.number < found.first:
            if self._own.pruned.get(head.number) == head.hash:
                found.contains.append(head.number)
                return
            found.fault(
                f"row {head.number}, which the head of {head.time} names, is not kept any more: the"
                f" ledger begins with row {found.first}, and whether that row was there is not to"
                " be told."
            )
        else:
            found.fault(
                f"row {head.number} is not the one that the head of {head.time} names: the ledger"
                " was rewritten up to there, or is another."
            )

    # ── who signed ──────────────────────────────────────────────────────────

    def _key(self, signed: Head | None) -> Node | None:
        """This node's, by which rows can be known as its own. Where it is gone, or another than the
        head's, none can; `_look_at_key` says so."""
        with contextlib.suppress(LedgerError):
            node = find_node(self._places.folder)
            if node is not None and (signed is None or signed.key == node.public):
                return node
        return None

    def _signed_head(self) -> Head | None:
        try:
            head = read_head(self._places.head)
        except OSError as exc:
            raise LedgerError(f"{self._places.head} cannot be read: {exc}.") from exc
        if head is not None and head.ledger != self._places.name:
            self._found.fault(f"{self._places.head.name} is a head of the ledger {head.ledger}.")
        return head

    def _is_from_before(self) -> bool:
        """True if all that is there was written by a version without a chain."""
        places = self._places
        if places.head.exists() or not places.current.exists() or not is_unchained(places.current):
            return False
        self._found.notes.append(
            f"{places.current.name} is of a version that did not chain its rows; the next row takes"
            " them over."
        )
        return True

    def _look_at_key(self, signed: Head | None) -> None:
        found, folder = self._found, self._places.folder
        try:
            node = find_node(folder)
        except LedgerError as exc:
            found.fault(f"the key of this node cannot be read: {exc}")
            return
        if node is None:
            if found.rows or signed:
                found.fault("the key of this node is gone: nobody can sign the next head with it.")
            return
        found.key = node.public
        if found.rows == 0 and signed is None and found.ledger in node.begun:
            found.fault("the whole ledger is gone, rows and head: this node has begun one.")
        if signed is not None and signed.key != node.public:
            found.fault(
                f"the head is signed by the key {signed.key}, and this node's is {node.public}: one"
                " of the two was replaced."
            )
        for head in self._asked:
            if head.key != node.public:
                found.fault(
                    f"the head of {head.time} is signed by the key {head.key}, and this node's is"
                    f" {node.public}: another node's head, or a replaced key."
                )
        if not is_private(folder):
            found.notes.append("others on this machine may read the key: chmod 600 node_key.json.")


def _order(place: Place, number: int, last: int) -> str:
    if number > last + 1:
        return f"{are(last + 1, number - 1)} missing: row {number} ({place}) follows row {last}."
    return f"row {number} ({place}) stands after row {last}: rows were moved, or put in twice."
