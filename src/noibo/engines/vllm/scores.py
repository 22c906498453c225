"""Scores of given prompts, as vLLM gives them (`prompt_logprobs`), told as noibo's lines.

A line names tokens by their texts: of a token that is part of a character vLLM tells no bytes, and
so its piece is the sign for what cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.engines.vllm.arguments import MOST_LOGPROBS
from noibo.errors import EngineError, InvalidRequest
from noibo.wire.body import UNREADABLE
from noibo.wire.openai.scores import Line

_ID: Final = "token_id:"


@dataclass(slots=True)
class Lines:
    """A translator of one answer into a line for each prompt. `after`: what comes next is told
    too; `firsts`: texts of tokens that a prompt begins with, of which vLLM says nothing."""

    prompts: Sequence[str | Sequence[int]]
    firsts: Mapping[int, str]
    after: bool = False
    _said: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> bytes:
        """Nothing, before all of it is there."""
        self._said += chunk
        return b""

    def end(self) -> bytes:
        """All lines. Raises `EngineError`."""
        try:
            said = msgspec.json.decode(bytes(self._said))
            found = [self._line(choice) for choice in said["choices"]]
        except (*UNREADABLE, KeyError, TypeError, ValueError, IndexError) as exc:
            raise EngineError(f"vLLM sent scores that are not understood ({exc!r}).") from exc
        return b"".join(msgspec.json.encode(line) + b"\n" for line in found)

    def _line(self, choice: Mapping[str, Any]) -> Line:
        line = _line(choice, after=self.after)
        prompt, first = self.prompts[line.index], line.tokens[0]
        if not line.pieces[first] and isinstance(prompt, str):
            rest = "".join(line.pieces[token] for token in line.tokens[1:])
            whole = _latin(prompt)
            line.pieces[first] = whole.removesuffix(rest) if rest else whole
        elif not line.pieces[first]:
            line.pieces[first] = _latin(self.firsts.get(first, ""))
        return line


def asked(model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The request. Raises `InvalidRequest` for what cannot be asked at once."""
    prompts, top = fields["prompts"], int(fields.get("top") or 0)
    if len({isinstance(one, str) for one in prompts}) > 1:
        raise InvalidRequest("prompt: vLLM takes texts or tokens, not both.", param="prompt")
    if top > MOST_LOGPROBS:
        raise InvalidRequest(f"logprobs: at most {MOST_LOGPROBS} with vLLM.", param="logprobs")
    return {
        "model": model,
        "prompt": prompts,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": max(top, 1),
        "logprobs": max(top, 1),
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def _line(choice: Mapping[str, Any], *, after: bool) -> Line:
    tokens = list(choice["prompt_token_ids"])
    pieces: dict[int, str] = {}
    line = Line(index=choice["index"], tokens=tokens, pieces=pieces)
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
