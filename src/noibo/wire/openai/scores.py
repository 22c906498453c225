"""The log-probabilities of a prompt in the shapes that clients know: OpenAI's old one, of `echo`
with `logprobs`, and vLLM's `prompt_logprobs`.

A token may be part of a character: then its text is `bytes:\\xe1\\xba`, and its offset that of the
character. What a tokenizer puts before a text (a beginning, a space) takes no place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from noibo.wire.body import Json
from noibo.wire.openai.logprobs import piece_name

LEAST: Final = -9999.0  # for what cannot be: JSON has no infinity
Likeliest = list[tuple[int, float]]


class Line(msgspec.Struct):
    """What the scoring worker says of one prompt; an entry for each token, none for the first.

    `after`: the likeliest tokens after the last one. `pieces`: the bytes of every token named, a
    character each. `ends`: those of them that end an answer."""

    index: int = 0
    tokens: list[int] = []
    logprobs: list[float | None] = []
    ranks: list[int | None] = []
    likeliest: list[Likeliest | None] = []
    after: Likeliest | None = None
    reused: int = 0
    pieces: dict[int, str] = {}
    ends: list[int] = []
    error: Json | None = None

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        return self.pieces[token].encode("latin-1")


def text_of(line: Line, prompt: str | Sequence[int]) -> str:
    """The prompt as a text."""
    if isinstance(prompt, str):
        return prompt
    return b"".join(line.piece(token) for token in line.tokens).decode(errors="replace")


def as_text(line: Line, text: str, top: int) -> Json:
    """`logprobs` of a prompt with `echo`, `text` being what was echoed."""
    likeliest = [
        None if likely is None or logprob is None else _named(line, token, logprob, likely[:top])
        for token, logprob, likely in zip(line.tokens, line.logprobs, line.likeliest, strict=True)
    ]
    return {
        "tokens": [piece_name(line.piece(token)) for token in line.tokens],
        "token_logprobs": [_finite(logprob) for logprob in line.logprobs],
        "top_logprobs": likeliest,
        "text_offset": _offsets([line.piece(token) for token in line.tokens], text),
    }


def with_next(shown: Json | None, line: Line, text: str, top: int) -> Json:
    """The same, or nothing, with the likeliest token after the prompt."""
    token, logprob = _next(line)
    more: Json = {
        "tokens": piece_name(line.piece(token)),
        "token_logprobs": _finite(logprob),
        "top_logprobs": _named(line, token, logprob, (line.after or [])[:top]),
        "text_offset": len(text),
    }
    return {name: [*(shown[name] if shown else ()), more[name]] for name in more}


def next_text(line: Line) -> str:
    """The text of the likeliest token after the prompt; empty for one that ends the answer."""
    token, _ = _next(line)
    return "" if token in line.ends else line.piece(token).decode(errors="replace")


def next_ends(line: Line) -> bool:
    """True if the answer ends with the likeliest token after the prompt."""
    return _next(line)[0] in line.ends


def as_prompt_logprobs(line: Line, top: int) -> list[Json | None]:
    """vLLM's `prompt_logprobs`: by token id, of each token and the likeliest ones in its place."""
    rows: list[Json | None] = []
    for token, logprob, rank, likely in zip(
        line.tokens, line.logprobs, line.ranks, line.likeliest, strict=True
    ):
        if logprob is None or likely is None:
            rows.append(None)
            continue
        named = {one: (chance, place) for place, (one, chance) in enumerate(likely[:top], start=1)}
        named = {token: (logprob, rank or 0)} | named
        rows.append({str(one): _entry(line, one, *said) for one, said in named.items()})
    return rows


def _entry(line: Line, token: int, logprob: float, rank: int) -> Json:
    text = line.piece(token).decode(errors="replace")
    return {"logprob": _finite(logprob), "rank": rank, "decoded_token": text}


def _next(line: Line) -> tuple[int, float]:
    assert line.after  # noqa: S101 - the worker was asked for it
    return line.after[0]


def _named(line: Line, token: int, logprob: float, likely: Likeliest) -> dict[str, float]:
    """The likeliest tokens by their texts, and the one that stands there, which may be one more.
    Of two with the same text the likelier one is told."""
    named: dict[str, float] = {}
    for one, chance in [*likely, (token, logprob)]:
        named.setdefault(piece_name(line.piece(one)), _finite(chance) or 0.0)
    return named


def _finite(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, LEAST)


def _offsets(pieces: Sequence[bytes], text: str) -> list[int]:
    """Where in the text each token begins, in characters."""
    said, offsets = text.encode(), []
    place = characters = 0  # bytes of the text that were passed, and characters begun in them
    for piece in pieces:
        inside = place < len(said) and _continues(said[place])
        offsets.append(characters - inside)
        taken = _taken(piece, said, place)
        characters += sum(not _continues(byte) for byte in said[place : place + taken])
        place += taken
    return offsets


def _taken(piece: bytes, said: bytes, place: int) -> int:
    """Bytes of the text that a token stands for."""
    for part in (piece, piece.removeprefix(b" ")):
        if said.startswith(part, place):
            return len(part)
    return 0


def _continues(byte: int) -> bool:
    """True for a byte that goes on with a character (UTF-8)."""
    return byte & 0xC0 == 0x80
