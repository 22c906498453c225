"""The texts of one streamed answer, each with what is held back of it."""

from __future__ import annotations

from noibo.privacy.redaction import Redaction
from noibo.privacy.restoring import Restorer

Slot = tuple[str | int | None, ...]  # which text: ("choice", 0, "content")


class AnswerTexts:
    """`in_json`: what is said to the caller is JSON, because the request wanted that; thoughts are
    not, and arguments of tools always are."""

    def __init__(self, redaction: Redaction, *, in_json: bool = False) -> None:
        self.redaction = redaction
        self.in_json = in_json
        self._open: dict[Slot, Restorer] = {}

    def feed(self, slot: Slot, piece: str, *, in_json: bool = False) -> str:
        """What can be said of a text by now. `in_json`: it is the inside of JSON."""
        if slot not in self._open:
            self._open[slot] = Restorer(self.redaction, in_json=in_json)
        return self._open[slot].feed(piece)

    def pause(self, slot: Slot) -> str:
        """What is held of a text that another one follows; it may go on."""
        return self._open[slot].end() if slot in self._open else ""

    def end(self, slot: Slot) -> str:
        """What is held of a text that has ended."""
        return self._open.pop(slot).end() if slot in self._open else ""

    def within(self, *beginning: str | int | None) -> list[Slot]:
        """The open texts of a choice or a block."""
        return [slot for slot in self._open if slot[: len(beginning)] == beginning]
