"""A tokenizer of Hugging Face's as the shell's vocabulary. In the worker only."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from noibo.engines.hosted.byte_signs import BYTES
from noibo.engines.hosted.python_model import Json, Unreadable

SPACE: Final = "▁"  # as SentencePiece writes it
_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")


class Words:
    """The vocabulary of a folder. `size`: tokens that the model scores."""

    def __init__(self, backend: Any, size: int) -> None:
        self._backend = backend
        self._lock = threading.Lock()  # it is told how to treat marks, call by call
        self.size = size
        self.ends: frozenset[int] = frozenset()
        backend.no_truncation()
        backend.no_padding()
        added = backend.get_added_tokens_decoder()
        self._added: dict[int, bytes] = {
            token: one.content.encode() for token, one in added.items()
        }
        self.silent = frozenset(token for token, one in added.items() if one.special)
        self._by_bytes = "ByteLevel" in json.dumps(json.loads(self._backend.to_str())["decoder"])

    @classmethod
    def of(cls, folder: Path, size: int) -> Words:
        """By the folder's tokenizer.json alone. Raises what the library raises."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), size)

    def tokenise(self, text: str, *, special: bool = True, marks: bool = True) -> list[int]:
        with self._lock:
            self._backend.encode_special_tokens = not marks
            found: list[int] = self._backend.encode(text, add_special_tokens=special).ids
        return found

    def piece(self, token: int) -> bytes:
        if (own := self._added.get(token)) is not None:
            return own
        text: str | None = self._backend.id_to_token(token)
        if text is None:  # the model scores more tokens than there are
            return b""
        if self._by_bytes:
            return bytes(BYTES[sign] for sign in text if sign in BYTES)
        if byte := _BYTE.fullmatch(text):
            return bytes.fromhex(byte[1])
        return text.replace(SPACE, " ").encode()

    def chat(self, messages: Sequence[Json], tools: Sequence[Json], options: Json) -> str:
        raise Unreadable("a model that embeds has no chats.")

    def guide(self) -> Any:
        raise NotImplementedError


class ChatWords(Words):
    """That of a model that writes: it ends answers, and has a chat template."""

    def __init__(self, tokenizer: Any, size: int, ends: Sequence[int], template: str) -> None:
        super().__init__(tokenizer.backend_tokenizer, size)
        self._tokenizer = tokenizer
        self._template = template or None
        self.ends = frozenset(ends)

    def chat(self, messages: Sequence[Json], tools: Sequence[Json], options: Json) -> str:
        options = {"add_generation_prompt": True} | options
        try:
            said: str = self._tokenizer.apply_chat_template(
                _with_arguments(messages),
                tools=list(tools) or None,
                chat_template=self._template,
                tokenize=False,
                **options,
            )
        except Exception as exc:  # a template is a program of a stranger's
            raise Unreadable(f"the model's chat template does not take them: {exc}") from exc
        return said

    @cached_property
    def _guide(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(self._tokenizer, n_vocab=self.size, eos_token=sorted(self.ends))

    def guide(self) -> Any:
        return self._guide


def _with_arguments(messages: Sequence[Json]) -> list[Json]:
    """The messages with the arguments of calls as objects, as templates of Hugging Face have them;
    OpenAI's are JSON in a text."""
    return [
        {**message, "tool_calls": [_call(call) for call in calls]}
        if (calls := message.get("tool_calls"))
        else message
        for message in messages
    ]


def _call(call: Json) -> Json:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as exc:
            raise Unreadable("the arguments of a call are not JSON.") from exc
    return {**call, "function": {**function, "arguments": arguments}}
