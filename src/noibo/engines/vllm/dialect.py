"""How vLLM's server is asked for what noibo asks of workers in llama.cpp's words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.engines import line
from noibo.engines.engine import Model, plain
from noibo.engines.remote.answer import Document, Said, Told, itself
from noibo.engines.remote.dialect import Fetch, Question
from noibo.engines.vllm import lora, scores
from noibo.engines.vllm.pieces import Pieces
from noibo.errors import BadModelFile, InvalidRequest
from noibo.model_settings import VllmSettings
from noibo.modelstore.importing.strange_tree import read_small

COUNT: Final = "/v1/chat/completions/input_tokens"
_OK: Final = 200
# Of a chat, what changes how its template is filled in.
_OF_CHATS: Final = ("messages", "tools", "chat_template_kwargs", "documents", "model")
_BYTE_LEVEL: Final = re.compile(rb'"type":\s*"ByteLevel"')
_TOKENIZER: Final = "tokenizer.json"
_LARGEST: Final = 2**27  # bytes of it; those of 256,000 words have some 35 MB


@dataclass(frozen=True, slots=True)
class Vllm:
    """One for each worker. `adapters`: what vLLM calls each that it has loaded."""

    model: str
    pieces: Pieces = Pieces()
    looks: str = "/health"
    adapters: Collection[str] = ()

    @classmethod
    def of(cls, model: Model) -> Vllm:
        """Reads how the model's tokenizer writes bytes."""
        said = b""
        if model.path is not None:
            with contextlib.suppress(BadModelFile):  # there is none
                said = read_small(model.path / _TOKENIZER, _LARGEST)
        own = model.options.get("vllm")
        named = own.lora if isinstance(own, VllmSettings) else {}
        adapters = frozenset(lora.served(model.name, one) for one in named)
        return cls(model.name, Pieces(bool(_BYTE_LEVEL.search(said))), adapters=adapters)

    async def question(
        self, path: str, fields: Mapping[str, Any], fetch: Fetch, keep_alive: float | None
    ) -> Question:
        """What noibo asks, as it is asked there. Raises `InvalidRequest`."""
        if path == "/score":
            return await self._score({name: plain(fields[name]) for name in fields}, fetch)
        if path == "/tokenize":
            return self._tokenise({name: plain(value) for name, value in fields.items()})
        if path == "/detokenize":
            return _question(path, dict(fields), lambda said: {"content": said["prompt"]})
        if path == COUNT:
            return _question(
                "/tokenize", self._chat(fields), lambda said: {"input_tokens": said["count"]}
            )
        if path == "/apply-template":
            return await self._filled_in(fields, fetch)
        return Question(path, msgspec.json.encode({**fields, "model": self._asked(fields)}))

    def _asked(self, fields: Mapping[str, Any]) -> str:
        """An adapter, where the pipeline names one: it knows what the name of a caller means."""
        said = plain(fields.get("model"))
        return said if isinstance(said, str) and said in self.adapters else self.model

    async def _score(self, fields: Mapping[str, Any], fetch: Fetch) -> Question:
        """Prompt by prompt: so the first answer comes soon, and who leaves ends the work."""
        prompts, top = fields["prompts"], scores.likely(fields)
        await self._require_few(fields, fetch)
        before = b""
        for number, prompt in enumerate(prompts[:-1]):
            lines = await self._lines(number, fields, fetch)
            async with await fetch("/v1/completions", self._scored(prompt, top)) as response:
                said = await response.read()
            if response.status != _OK:
                return _refused(response, said)
            lines.feed(said)
            before += lines.end()
        last = await self._lines(len(prompts) - 1, fields, fetch)
        last.before = before

        def told(answer: line.Response) -> line.Response:
            return Told(answer, last) if answer.status == _OK else answer

        return Question("/v1/completions", self._scored(prompts[-1], top), told)

    def _scored(self, prompt: str | list[int], top: int) -> bytes:
        return msgspec.json.encode(scores.asked(self.model, prompt, top))

    async def _lines(self, number: int, fields: Mapping[str, Any], fetch: Fetch) -> scores.Lines:
        """What tells the answer for one prompt. vLLM says nothing of a prompt's first token, so of
        one in tokens that is asked for."""
        prompt, first = fields["prompts"][number], ""
        if prompt and not isinstance(prompt, str):
            back = msgspec.json.encode({"model": self.model, "tokens": prompt[:1]})
            async with await fetch("/detokenize", back) as response:
                said = await response.read()
            if response.status == _OK:
                first = msgspec.json.decode(said)["prompt"]
        return scores.Lines(number, prompt, first, bool(fields.get("after")))

    async def _require_few(self, fields: Mapping[str, Any], fetch: Fetch) -> None:
        """Raises `InvalidRequest` where more would be told than may be: the tokens of texts are
        counted only where their bytes could be too many."""
        prompts = fields["prompts"]
        if scores.fits(map(scores.most_tokens, prompts), fields):
            return
        counts = []
        for prompt in prompts:
            if isinstance(prompt, str):
                asked = msgspec.json.encode({"model": self.model, "prompt": prompt})
                async with await fetch("/tokenize", asked) as response:
                    said = await response.read()
                if response.status == _OK:
                    counts.append(int(msgspec.json.decode(said)["count"]))
            else:
                counts.append(len(prompt))
        scores.require_few(counts, fields)

    def _tokenise(self, fields: Mapping[str, Any]) -> Question:
        content = fields.get("content", "")
        if not isinstance(content, str):
            raise InvalidRequest(
                "content: vLLM takes a text to tokenise, not tokens among it.", param="content"
            )
        with_pieces = bool(fields.get("with_pieces"))
        asked = {
            "model": self.model,
            "prompt": content,
            "add_special_tokens": bool(fields.get("add_special")),
            "return_token_strs": with_pieces,
        }
        told = self.pieces.told if with_pieces else lambda said: {"tokens": said["tokens"]}
        return _question("/tokenize", asked, told)

    def _chat(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        of_it = {name: fields[name] for name in _OF_CHATS if name in fields}
        return {**of_it, "model": self.model, "add_generation_prompt": True}

    async def _filled_in(self, fields: Mapping[str, Any], fetch: Fetch) -> Question:
        """The text of a chat: the text of its tokens, as vLLM fills in no template alone."""
        asked = msgspec.json.encode(self._chat(fields))
        async with await fetch("/tokenize", asked) as response:
            said = await response.read()
        if response.status != _OK:
            return _refused(response, said)
        tokens = msgspec.json.decode(said)["tokens"]
        back = {"model": self.model, "tokens": tokens}
        return _question("/detokenize", back, lambda found: {"prompt": found["prompt"]})

    def address(self, url: str, path: str) -> str:
        return url + path

    def found(self, said: Any) -> str:
        return "answers"


def _question(path: str, fields: Mapping[str, Any], tell: Callable[[Any], Any]) -> Question:
    return Question(
        path,
        msgspec.json.encode(fields),
        lambda answer: Told(answer, Document(tell)) if answer.status == _OK else itself(answer),
    )


def _refused(response: line.Response, said: bytes) -> Question:
    """What was refused on the way is told as it was said."""
    status, headers = response.status, response.headers
    return Question("/health", b"", lambda _: Said(status, headers, said))
