"""Scores of given prompts, as vLLM gives them (`prompt_logprobs`), told as noibo's lines.

A line names tokens by their texts: of a token that is part of a character vLLM tells no bytes, and
so its piece is the sign for what cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.engines.vllm.arguments import MOST_LOGPROBS
from noibo.errors import EngineError, InvalidRequest
from noibo.wire.body import UNREADABLE
from noibo.wire.openai.scores import Line

_ID: Final = "token_id:"
MOST: Final = 2**62  # where nobody says how many may be told
ROUND_A_TEXT: Final = 8


@dataclass(slots=True)
class Lines:
    """A translator of the answer for one prompt into its line; `before`: lines of those before it.
    `after`: what comes next is told too; `first`: the text of the token that a prompt of tokens
    begins with, of which vLLM says nothing."""

    number: int
    prompt: str | Sequence[int]
    first: str = ""
    after: bool = False
    before: bytes = b""
    _said: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> bytes:
        """Nothing, before all of it is there."""
        self._said += chunk
        return b""

    def end(self) -> bytes:
        """The lines. Raises `EngineError`."""
        try:
            (choice,) = msgspec.json.decode(bytes(self._said))["choices"]
            line = self._line(choice)
        except (*UNREADABLE, KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
            raise EngineError(f"vLLM sent scores that are not understood ({exc!r}).") from exc
        return self.before + msgspec.json.encode(line) + b"\n"

    def _line(self, choice: Mapping[str, Any]) -> Line:
        line = _line(self.number, choice, after=self.after)
        first = line.tokens[0]
        if not line.pieces[first] and isinstance(self.prompt, str):
            rest = "".join(line.pieces[token] for token in line.tokens[1:])
            whole = _latin(self.prompt)
            line.pieces[first] = whole.removesuffix(rest) if rest else whole
        elif not line.pieces[first]:
            line.pieces[first] = _latin(self.first)
        return line


def likely(fields: Mapping[str, Any]) -> int:
    """How many likely tokens are to be named in each place. Raises `InvalidRequest`."""
    top = int(fields.get("top") or 0)
    if top > MOST_LOGPROBS:
        raise InvalidRequest(f"logprobs: at most {MOST_LOGPROBS} with vLLM.", param="logprobs")
    return top


def most_tokens(prompt: str | Sequence[int]) -> int:
    """Tokens that it has at most: each has a byte, but for those that stand round a text."""
    return len(prompt.encode()) + ROUND_A_TEXT if isinstance(prompt, str) else len(prompt)


def fits(counts: Iterable[int], fields: Mapping[str, Any]) -> bool:
    """Whether prompts of so many tokens are few enough, by `each` and `most` of the request."""
    return sum(counts) * int(fields.get("each") or 1) <= int(fields.get("most") or MOST)


def require_few(counts: Sequence[int], fields: Mapping[str, Any]) -> None:
    """Raises `InvalidRequest` with the numbers."""
    if fits(counts, fields):
        return
    tokens, each, most = sum(counts), int(fields.get("each") or 1), int(fields.get("most") or MOST)
    raise InvalidRequest(
        f"The prompts have {tokens:,} tokens; with {each:,} log-probabilities told of each these "
        f"are {tokens * each:,}, and at most {most:,} are told at once.",
        param="prompt",
        next_step="Send the prompts in several requests, or ask for fewer.",
    )


def asked(model: str, prompt: str | Sequence[int], top: int) -> dict[str, Any]:
    """The request for one prompt."""
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": max(top, 1),
        "logprobs": max(top, 1),
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def _line(number: int, choice: Mapping[str, Any], *, after: bool) -> Line:
    tokens = list(choice["prompt_token_ids"])
    pieces: dict[int, str] = {}
    line = Line(index=number, tokens=tokens, pieces=pieces)
    line.logprobs, line.ranks, line.likeliest = [], [], []
    places = choice.get("prompt_logprobs") or [None] * len(tokens)
    for token, place in zip(tokens, places, strict=True):
        _add(line, token, place or {})
    if after:
        line.after = _after(choice, pieces)
        if choice.get("finish_reason") == "stop":
            line.ends = [int(token) for token in choice.get("token_ids") or ()]
    for token in tokens:
        pieces.setdefault(token, "")
    return line


def _add(line: Line, token: int, place: Mapping[str, Mapping[str, Any]]) -> None:
    """What it said of one token; nothing of the first."""
    ranked = sorted(
        ((int(name), one) for name, one in place.items()), key=lambda pair: pair[1]["rank"]
    )
    for name, one in ranked:
        line.pieces[name] = _latin(one.get("decoded_token") or "")
    own = place.get(str(token))
    line.logprobs.append(own["logprob"] if own else None)
    line.ranks.append(own["rank"] if own else None)
    line.likeliest.append([(name, one["logprob"]) for name, one in ranked] if place else None)


def _after(choice: Mapping[str, Any], pieces: dict[int, str]) -> list[tuple[int, float]]:
    likely = (choice["logprobs"]["top_logprobs"] or [{}])[0]
    found = [(int(name.removeprefix(_ID)), chance) for name, chance in likely.items()]
    for token in choice.get("token_ids") or ():
        pieces.setdefault(int(token), _latin(choice["text"]))
    for token, _ in found:
        pieces.setdefault(token, "")
    return sorted(found, key=lambda pair: -pair[1])


def _latin(text: str) -> str:
    """The bytes of a text, a character each."""
    return text.encode().decode("latin-1")
