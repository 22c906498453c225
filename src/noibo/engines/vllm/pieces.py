"""Tokens as the bytes they stand for. vLLM tells a token as its tokenizer's file has it: there a
byte is a letter (byte-level BPE), or the text itself with `▁` for a space (SentencePiece)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

_ONE_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE: Final = "▁"


@dataclass(frozen=True, slots=True)
class Pieces:
    """`byte_level`: each character stands for a byte, by the table of GPT-2."""

    byte_level: bool = False

    def bytes_of(self, token: str) -> bytes:
        """Those of one token; of one that the table has not (`<|im_end|>` has), its own text."""
        if self.byte_level:
            table = _letters()
            if all(letter in table for letter in token):
                return bytes(table[letter] for letter in token)
            return token.encode()
        if found := _ONE_BYTE.fullmatch(token):
            return bytes([int(found[1], 16)])
        return token.replace(_SPACE, " ").encode()

    def told(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """llama.cpp's answer to `/tokenize` with pieces: a text, or bytes where it is none."""
        both = zip(said["tokens"], said["token_strs"], strict=True)
        return {"tokens": [{"id": token, "piece": self._piece(name)} for token, name in both]}

    def _piece(self, name: str) -> str | list[int]:
        found = self.bytes_of(name)
        try:
            return found.decode()
        except UnicodeDecodeError:
            return list(found)


@cache
def _letters() -> Mapping[str, int]:
    """GPT-2's table: printable bytes are themselves, the others 256 letters on in order. After
    openai/gpt-2, `encoder.py`: bytes_to_unicode."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}
