"""Bytes of tokens as text for a reader: whole characters, and nothing of what ends the answer."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Speech:
    """What one answer says. A text that may be the beginning of a stop text is held back."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = stops
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = ""  # the stop text that has come

    def say(self, piece: bytes, *, last: bool = False) -> str:
        """What can be told now; `last`: nothing comes after it."""
        self._held += self._decoder.decode(piece, last)
        if self.stopped:
            return ""
        found = [(place, stop) for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            place, self.stopped = min(found)
            return self._held[:place]
        keep = 0 if last else max((_begun(self._held, stop) for stop in self._stops), default=0)
        told, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return told


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of a text are the beginning of a mark."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0


class Turn:
    """The parts of a chat's answer: what was thought, what is said, which tools are called.

    Models think between `<think>` and `</think>` before they answer (`thinking`: the prompt has
    said the first of them), and call a tool with JSON between `<tool_call>` and `</tool_call>`."""

    def __init__(self, *, thinking: bool, calls: bool) -> None:
        self._marks = {"<think>": "think"} | ({"<tool_call>": "call"} if calls else {})
        self._inside = "think" if thinking else ""
        self._held = ""
        self._begun = thinking
        self._thought = False  # and nothing was said since
        self.called: list[str] = []

    def tell(self, text: str, *, last: bool = False) -> list[tuple[str, str]]:
        """Parts that can be told now: ("think" | "say" | "call", text)."""
        self._held += text
        parts: list[tuple[str, str]] = []
        while (part := self._next(last=last)) is not None:
            if text := self._from_its_beginning(*part):
                parts.append((part[0], text))
        return parts

    def _from_its_beginning(self, kind: str, text: str) -> str:
        """An answer begins after the empty lines that follow a thought, token by token too."""
        if kind == "think":
            self._thought = True
        elif kind == "say" and self._thought:
            text = text.lstrip("\r\n")
            self._thought = not text
        return text

    def _next(self, *, last: bool) -> tuple[str, str] | None:
        if self._inside:
            return self._until(f"</{_NAMES[self._inside]}>", last=last)
        if not self._begun:  # thoughts stand at the beginning, and nowhere else
            said = self._held.lstrip()
            if "<think>".startswith(said) and not last:
                return None
            if not said.startswith("<think>"):
                del self._marks["<think>"]
            self._begun = True
        place, mark = min(
            ((at, mark) for mark in self._marks if (at := self._held.find(mark)) >= 0),
            default=(-1, ""),
        )
        if mark:
            said, self._held = self._held[:place], self._held[place + len(mark) :]
            self._inside = self._marks[mark]
            if mark == "<think>":
                del self._marks[mark]
            return "say", said.rstrip() if self._inside == "call" else said.strip()
        keep = 0 if last else max((_begun(self._held, mark) for mark in self._marks), default=0)
        said, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        if said and not said.strip() and self.called:
            return None  # between two calls, and after the last
        return ("say", said) if said else None

    def _until(self, mark: str, *, last: bool) -> tuple[str, str] | None:
        inside = self._inside
        place = self._held.find(mark)
        if place >= 0:
            said, self._held = self._held[:place], self._held[place + len(mark) :].lstrip("\n")
            self._inside = ""
            if inside == "call":
                self.called.append(said)
            return inside, said
        if inside == "call":  # told as a whole, or as the text it is
            if not last or not self._held:
                return None
            said, self._held = "<tool_call>" + self._held, ""
            return "say", said
        keep = 0 if last else _begun(self._held, mark)
        said, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return (inside, said) if said else None


_NAMES = {"think": "think", "call": "tool_call"}
