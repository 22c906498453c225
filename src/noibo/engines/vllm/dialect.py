"""How vLLM's server is asked for what noibo asks of workers in llama.cpp's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.engines import line
from noibo.engines.engine import Model
from noibo.engines.remote.answer import Document, Said, Told, itself
from noibo.engines.remote.dialect import Fetch, Question
from noibo.engines.vllm import scores
from noibo.engines.vllm.pieces import Pieces
from noibo.errors import InvalidRequest

COUNT: Final = "/v1/chat/completions/input_tokens"
_OK: Final = 200
# Of a chat, what changes how its template is filled in.
_OF_CHATS: Final = ("messages", "tools", "chat_template_kwargs", "documents", "model")
_BYTE_LEVEL: Final = re.compile(rb'"type":\s*"ByteLevel"')
_TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Vllm:
    """One for each worker."""

    model: str
    pieces: Pieces = Pieces()
    looks: str = "/health"

    @classmethod
    def of(cls, model: Model) -> Vllm:
        """Reads how the model's tokenizer writes bytes."""
        path = model.path / _TOKENIZER if model.path else None
        said = path.read_bytes() if path and path.is_file() else b""
        return cls(model.name, Pieces(bool(_BYTE_LEVEL.search(said))))

    async def question(
        self, path: str, fields: Mapping[str, Any], fetch: Fetch, keep_alive: float | None
    ) -> Question:
        """What noibo asks, as it is asked there. Raises `InvalidRequest`."""
        if path == "/score":
            return await self._score({name: _plain(fields[name]) for name in fields}, fetch)
        if path == "/tokenize":
            return self._tokenise({name: _plain(value) for name, value in fields.items()})
        if path == "/detokenize":
            return _question(path, dict(fields), lambda said: {"content": said["prompt"]})
        if path == COUNT:
            return _question(
                "/tokenize", self._chat(fields), lambda said: {"input_tokens": said["count"]}
            )
        if path == "/apply-template":
            return await self._filled_in(fields, fetch)
        named = fields if "model" in fields else {**fields, "model": self.model}
        return Question(path, msgspec.json.encode({**named, "model": self._asked(named)}))

    def _asked(self, fields: Mapping[str, Any]) -> str:
        """An adapter of the model is asked for by its name; any other name is the model's."""
        said = _plain(fields["model"])
        of_it = isinstance(said, str) and said.startswith(f"{self.model}-")
        return said if of_it else self.model

    async def _score(self, fields: Mapping[str, Any], fetch: Fetch) -> Question:
        asked, prompts = scores.asked(self.model, fields), fields["prompts"]
        firsts = {one[0]: "" for one in prompts if one and not isinstance(one, str)}
        for token in firsts:
            back = msgspec.json.encode({"model": self.model, "tokens": [token]})
            async with await fetch("/detokenize", back) as response:
                said = await response.read()
            if response.status == _OK:
                firsts[token] = msgspec.json.decode(said)["prompt"]
        after = bool(fields.get("after"))

        def told(answer: line.Response) -> line.Response:
            if answer.status != _OK:
                return answer
            return Told(answer, scores.Lines(prompts, firsts, after))

        return Question("/v1/completions", msgspec.json.encode(asked), told)

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
        if response.status != _OK:  # it is refused once more, with the same reason
            status, headers = response.status, response.headers
            return Question("/health", b"", lambda _: Said(status, headers, said))
        tokens = msgspec.json.decode(said)["tokens"]
        back = {"model": self.model, "tokens": tokens}
        return _question("/detokenize", back, lambda found: {"prompt": found["prompt"]})

    def address(self, url: str, path: str) -> str:
        return url + path

    def found(self, said: Any) -> str:
        return "answers"


def _plain(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def _question(path: str, fields: Mapping[str, Any], tell: Callable[[Any], Any]) -> Question:
    return Question(
        path,
        msgspec.json.encode(fields),
        lambda answer: Told(answer, Document(tell)) if answer.status == _OK else itself(answer),
    )
