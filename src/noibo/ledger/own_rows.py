"""What the ledger's own rows say: what was wrong when they were written, what retention took."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from noibo.ledger.checked import Checked, moment, named_are
from noibo.ledger.places import Places, read_plain
from noibo.ledger.row import Row
from noibo.ledger.walk import Place


class OwnRows:
    """Listens to them. `pruned`: the last rows that retention took away, and their digests."""

    def __init__(self, places: Places, found: Checked) -> None:
        self._places = places
        self._found = found
        self.pruned: dict[int, str] = {}

    def faults(self, row: Row, place: Place) -> Iterator[str]:
        """What a row says is wrong; what it says is not, becomes a note."""
        said = row.fields
        when = moment(row)
        if row.kind == "missing":
            yield (
                f"{named_are(row)} gone: signed before, and on {when} not there any more (row"
                f" {row.number}, {place})."
            )
        elif row.kind == "rewritten":
            yield (
                f"row {said.get('row')} is not the one that was signed: on {when} another stood in"
                f" its place, or it was gone (row {row.number}, {place})."
            )
        elif row.kind == "head_lost":
            yield f"the signed head was gone on {when} (row {row.number}, {place})."
        elif row.kind == "begun_again":
            yield (
                f"the whole ledger was gone on {when}, rows and head: what was in it is not known"
                f" here (row {row.number}, {place})."
            )
        elif row.kind == "new_key":
            yield (
                f"the key was replaced on {when}, {said.get('before')} by {said.get('now')} (row"
                f" {row.number}, {place}): heads from before are of the former key."
            )
        elif row.kind == "pruned":
            self.pruned[row.whole("last")] = str(said.get("digest"))
            self._found.notes.append(
                f"rows up to {said.get('last')} were taken away on {when}, as retention asked (row"
                f" {row.number})."
            )
        elif row.kind == "taken_over":
            yield from self._taken_over(row)

    def _taken_over(self, row: Row) -> Iterator[str]:
        said = row.fields
        path = self._places.unchained
        try:
            with read_plain(path) as file:
                digest = hashlib.file_digest(file, "sha256")
                size = file.tell()
        except OSError as exc:
            yield f"{path.name}, which row {row.number} took over, cannot be read: {exc.strerror}."
            return
        if (size, digest.hexdigest()) != (said.get("bytes"), said.get("sha256")):
            yield f"{path.name} is not what row {row.number} took over: it was changed."
        else:
            self._found.notes.append(
                f"{path.name}: {said.get('rows')} rows of a version that did not chain them; that"
                f" they are unchanged is known from {moment(row)} on."
            )
