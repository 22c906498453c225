"""A gap in a text, and the prompt that asks for what stands in it: for every API that has such a
call, and for models that were trained for it.

llama.cpp's own `/infill` keeps three quarters of a batch of what stands before the gap, and batches
are small here so that work can be stopped: it would forget almost all of a file. So the prompt is
put together here, in the same order, of tokens. It is shortened only where `room` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from noibo.engines.abilities import Insertion
from noibo.engines.engine import Model, Verb
from noibo.engines.upstream import Upstream
from noibo.errors import NotSupported
from noibo.gateway.side_by_side import side_by_side
from noibo.wire.body import Json

# What stands before and behind the gap, and what stands for it; a repository, a file in it.
MARKS: Final = {
    "prefix": (
        "<|fim_prefix|>",
        "<fim-prefix>",
        "<fim_prefix>",
        "<｜fim▁begin｜>",
        "<PRE>",
        "▁<PRE>",
        "<|code_prefix|>",
        "<|prefix|>",
    ),
    "suffix": (
        "<|fim_suffix|>",
        "<fim-suffix>",
        "<fim_suffix>",
        "<｜fim▁hole｜>",
        "<SUF>",
        "▁<SUF>",
        "<|code_suffix|>",
        "<|suffix|>",
    ),
    "middle": (
        "<|fim_middle|>",
        "<fim-middle>",
        "<fim_middle>",
        "<｜fim▁end｜>",
        "<MID>",
        "▁<MID>",
        "<|code_middle|>",
        "<|middle|>",
    ),
    "repository": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "file": ("<|file_sep|>", "<file_sep>"),
}
ROUND: Final = ("prefix", "suffix", "middle")  # without these there is no asking
SNIPPET: Final = "\n\n--- snippet ---\n\n"  # between files, for want of a mark
AT_ONCE: Final = 8
Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands before a gap and behind it; `said` is what is written of it already. `files`:
    others that were sent along, each a `text` with perhaps a `filename`."""

    before: str
    behind: str
    said: str = ""
    files: Sequence[Json] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Filler:
    """Asks a model to fill gaps: its marks, and who knows its tokens."""

    upstream: Upstream
    marks: Mapping[str, int]

    @classmethod
    async def of(cls, upstream: Upstream) -> Filler:
        """Raises `NotSupported` for a model that has no marks round a gap."""
        marks = await _said_in_texts(upstream)
        if not marks.keys() >= set(ROUND):
            marks |= await _said_in_header(upstream.worker.model)
        if not marks.keys() >= set(ROUND):
            raise NotSupported(
                f"{upstream.worker.model.name} was not trained to fill a gap: it has no tokens for "
                "one.",
                next_step="Models with fill-in-the-middle tokens can, as qwen2.5-coder, codegemma "
                "and starcoder2: `noibo search code`.",
            )
        return cls(upstream, marks)

    async def prompt(self, gap: Gap, room: int | None = None) -> Tokens:
        """The tokens to go on from; not more than `room`, taken from what is farthest."""
        texts = (gap.before, gap.said, gap.behind)
        before, said, behind = await side_by_side(self._tokens, texts, AT_ONCE)
        first = (await self._asked("", add_special=True))[:1]  # what begins a text, if anything
        files = await self._files(gap.files)
        if room is not None:
            room -= len(first) + len(said) + len(ROUND)
            before = _last(before, 3 * room // 4 if len(before) + len(behind) > room else room)
            behind = behind[: max(room - len(before), 0)]
            files = _last(files, room - len(before) - len(behind))
        prefix, suffix, middle = (self.marks[name] for name in ROUND)
        return [*files, *first, prefix, *before, *said, suffix, *behind, middle]

    async def _files(self, files: Sequence[Json]) -> Tokens:
        found: Tokens = []
        marks = self.marks
        if "repository" in marks and files:
            found += [marks["repository"], *await self._tokens("myproject\n")]
        for one in files:
            name = one.get("filename") or "tmp"
            head = await self._tokens(f"{name}\n" if "file" in marks else SNIPPET)
            found += [marks["file"], *head] if "file" in marks else head
            found += await self._tokens(one["text"])
        if "file" in marks and files:
            found += [marks["file"], *await self._tokens("filename\n")]
        return found

    async def _tokens(self, text: str) -> Tokens:
        """A text's own: what looks like a mark in it is none."""
        return await self._asked(text, parse_special=False)

    async def _asked(self, text: str, **how: bool) -> Tokens:
        question = {"content": text, **how}
        found = await self.upstream.ask(Verb.TOKENISE, "/tokenize", question)
        tokens: Tokens = found["tokens"]
        return tokens


async def _said_in_texts(upstream: Upstream) -> dict[str, int]:
    """The marks that are single tokens of this model."""
    texts = "".join(text for names in MARKS.values() for text in names)
    question = {"content": texts, "with_pieces": True}
    pieces = (await upstream.ask(Verb.TOKENISE, "/tokenize", question))["tokens"]
    ids = {one["piece"]: one["id"] for one in pieces if isinstance(one["piece"], str)}
    return {name: ids[text] for name, texts in MARKS.items() for text in texts[::-1] if text in ids}


async def _said_in_header(model: Model) -> dict[str, int]:
    """The marks of a model that has other words for them, and says so in its file."""
    found = await asyncio.to_thread(Insertion.of, model)
    return dict(zip(ROUND, (found.before, found.after, found.middle), strict=True)) if found else {}


def _last(tokens: Sequence[int], most: int) -> Tokens:
    return list(tokens[max(len(tokens) - max(most, 0), 0) :])
