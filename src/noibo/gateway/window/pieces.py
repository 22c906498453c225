"""A text as tokens with their bytes, so that it can be parted between characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from noibo.engines.engine import Verb
from noibo.engines.upstream import Upstream
from noibo.errors import EngineError


@dataclass(frozen=True, slots=True)
class Pieces:
    """Token ids, and what each says."""

    ids: Sequence[int]
    said: Sequence[bytes]

    @classmethod
    async def of(cls, upstream: Upstream, content: Any, *, special: bool = True) -> Pieces:
        """What the model's own tokenizer makes of a text, of ids, or of both mixed."""
        asked = {"content": content, "add_special": special, "with_pieces": True}
        found = await upstream.ask(Verb.TOKENISE, "/tokenize", asked)
        try:
            tokens = found["tokens"]
            return cls([int(one["id"]) for one in tokens], [_bytes(one["piece"]) for one in tokens])
        except (KeyError, TypeError, ValueError) as exc:
            raise EngineError(f"The engine's tokens are not understood ({exc!r}).") from exc

    def last(self, most: int) -> list[int]:
        """The last tokens, at most so many, from the beginning of a character on."""
        start = max(len(self.ids) - max(most, 0), 0)
        while 0 < start < len(self.ids) and _goes_on(self.said[start]):
            start += 1
        return list(self.ids[start:])

    def parts(self, most: int) -> Iterator[str]:
        """The text in parts of at most so many tokens."""
        start = 0
        while start < len(self.ids):
            end = min(start + most, len(self.ids))
            while start + 1 < end < len(self.ids) and _goes_on(self.said[end]):
                end -= 1
            yield b"".join(self.said[start:end]).decode(errors="replace")
            start = end


def _bytes(piece: Any) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


def _goes_on(said: bytes) -> bool:
    """True for the rest of a character that began before."""
    return bool(said) and said[0] & 0xC0 == 0x80
