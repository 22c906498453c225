"""Parts thought from answer in a text that comes piece by piece: `<think>…</think>` before it.

For prompts that go to the engine as they are, where it does not look for thought, and for
templates whose marks it has not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


@dataclass(slots=True)
class Thought:
    """One answer. `inside`: the prompt has already opened the thought."""

    inside: bool = False
    _begun: bool = False
    _fresh: bool = False  # a mark has just been read: the line breaks after it belong to it
    _held: str = ""

    def add(self, text: str) -> tuple[str, str]:
        """The next piece: what of it is thought, and what answer. What may be the beginning of a
        mark is held back."""
        self._held += text
        if not self._begun and not self.inside:
            return self._before()
        return self._within() if self.inside else ("", self._bare(self._taken()))

    def end(self) -> tuple[str, str]:
        """What was held back."""
        held = self._taken()
        return (self._bare(held), "") if self.inside else ("", self._bare(held))

    def _before(self) -> tuple[str, str]:
        bare = self._held.lstrip()
        if len(bare) < len(OPENING) and OPENING.startswith(bare):
            return "", ""  # not known yet
        self._begun = True
        if not bare.startswith(OPENING):
            return "", self._taken()
        self.inside = self._fresh = True
        self._held = bare.removeprefix(OPENING)
        return self._within()

    def _within(self) -> tuple[str, str]:
        thought, mark, answer = self._held.partition(CLOSING)
        if mark:
            self.inside, self._begun, self._held = False, True, ""
            thought, self._fresh = self._bare(thought), True
            return thought, self._bare(answer)
        kept = _overlap(self._held)
        thought = self._held[: len(self._held) - kept]
        self._held = self._held[len(thought) :]
        return self._bare(thought), ""

    def _taken(self) -> str:
        held, self._held = self._held, ""
        return held

    def _bare(self, text: str) -> str:
        text = text.lstrip("\n") if self._fresh else text
        self._fresh = self._fresh and not text
        return text


def _overlap(text: str) -> int:
    """How many characters at the end may be the beginning of the closing mark."""
    most = min(len(text), len(CLOSING) - 1)
    return next((n for n in range(most, 0, -1) if CLOSING.startswith(text[-n:])), 0)
