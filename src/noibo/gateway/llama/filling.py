"""Filling a gap in a text, by models that were trained for it.

llama.cpp's own `/infill` keeps three quarters of a batch of what stands before the gap, and batches
are small here so that work can be stopped: it would forget almost all of a file. So the prompt is
put together here, in the same order, and shortened only where the model's context ends. A model
whose marks have other names than those known here is left to llama.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from noibo.engines.engine import Verb
from noibo.engines.upstream import Upstream
from noibo.errors import EngineRefused, NotSupported
from noibo.gateway.llama.native import NativeRelay
from noibo.gateway.pipeline import Errand, Request
from noibo.gateway.reply import Reply
from noibo.gateway.services import Services
from noibo.gateway.side_by_side import side_by_side
from noibo.wire import body
from noibo.wire.body import Fields, field

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
SNIPPET: Final = "\n\n--- snippet ---\n\n"  # between files, for want of a mark
USUAL_ANSWER: Final = 128  # tokens that are left room for where nobody says how many
AT_ONCE: Final = 8
_OURS: Final = ("input_prefix", "input_suffix", "input_extra", "prompt")
Tokens = list[int]


class Filling(NativeRelay):
    """An answer that fills a gap."""

    def __init__(self, services: Services, request: Request) -> None:
        super().__init__(services, request)
        self._services = services

    async def answer(self, reply: Reply) -> None:
        """Put the prompt together, then answer as to any other."""
        asked = self._request
        errand = Errand(Verb.TOKENISE, asked.model, asked.caller, asked.keep_alive)
        async with self._services.pipeline.worker(errand) as upstream:
            prompt = await _Gap(upstream, asked.fields).prompt()
        if prompt is not None:
            fields = {k: v for k, v in asked.fields.items() if k not in _OURS}
            fields["prompt"] = body.raw(prompt)
            self._request = replace(asked, path="/completion", fields=fields)
        try:
            await super().answer(reply)
        except EngineRefused as refused:
            if refused.status != NotSupported.status:
                raise
            raise NotSupported(
                refused.message,
                next_step="Models with fill-in-the-middle tokens can, as qwen2.5-coder, codegemma "
                "and starcoder2: `noibo search code`.",
            ) from refused


@dataclass(frozen=True, slots=True)
class _Gap:
    """What was said of one gap, and who knows the model's tokens."""

    upstream: Upstream
    fields: Fields

    async def prompt(self) -> Tokens | None:
        """The tokens to go on from; None for a model without marks that are known here."""
        marks = await self._marks()
        if not marks.keys() >= {"prefix", "suffix", "middle"}:
            return None
        names = ("input_prefix", "prompt", "input_suffix")
        texts = [field(self.fields, name, str, "") for name in names]
        before, said, behind = await side_by_side(self._tokens, texts, AT_ONCE)
        first = await self._asked("", add_special=True)
        room = self._room() - len(first) - len(said) - 3
        before = _last(before, 3 * room // 4 if len(before) + len(behind) > room else room)
        behind = behind[: max(room - len(before), 0)]
        others = _last(await self._others(marks), max(room - len(before) - len(behind), 0))
        gap = [marks["prefix"], *before, *said, marks["suffix"], *behind, marks["middle"]]
        return [*others, *first, *gap]

    def _room(self) -> int:
        """Tokens that a prompt may have, with room for what is to be written."""
        context = self.upstream.worker.launch.size.context
        wanted = field(self.fields, "n_predict", int, -1)
        left = wanted if wanted >= 0 else USUAL_ANSWER
        return context - 1 - min(left, context // 2)

    async def _others(self, marks: dict[str, int]) -> Tokens:
        """Other files that were sent along."""
        chunks = field(self.fields, "input_extra", list[dict[str, Any]], [])
        found: Tokens = []
        if "repository" in marks and chunks:
            found += [marks["repository"], *await self._tokens("myproject\n")]
        for chunk in chunks:
            name = chunk.get("filename") or "tmp"
            head = await self._tokens(f"{name}\n" if "file" in marks else SNIPPET)
            found += [marks["file"], *head] if "file" in marks else head
            found += await self._tokens(chunk["text"])
        if "file" in marks and chunks:
            found += [marks["file"], *await self._tokens("filename\n")]
        return found

    async def _marks(self) -> dict[str, int]:
        """The marks that are single tokens of this model."""
        texts = "".join(text for names in MARKS.values() for text in names)
        question = {"content": texts, "with_pieces": True}
        pieces = (await self.upstream.ask(Verb.TOKENISE, "/tokenize", question))["tokens"]
        ids = {one["piece"]: one["id"] for one in pieces if isinstance(one["piece"], str)}
        return {
            name: ids[text] for name, texts in MARKS.items() for text in texts[::-1] if text in ids
        }

    async def _tokens(self, text: str) -> Tokens:
        """A text's own: what looks like a mark in it is none."""
        return await self._asked(text, parse_special=False)

    async def _asked(self, text: str, **how: bool) -> Tokens:
        found = await self.upstream.ask(Verb.TOKENISE, "/tokenize", {"content": text, **how})
        tokens: Tokens = found["tokens"]
        return tokens


def _last(tokens: Sequence[int], most: int) -> Tokens:
    return list(tokens[max(len(tokens) - most, 0) :])
