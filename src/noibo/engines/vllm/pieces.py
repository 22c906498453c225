"""Tokens as the bytes they stand for. vLLM tells a token as its tokenizer's file has it: there a
byte is a letter (byte-level BPE), or the text itself with `▁` for a space (SentencePiece)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.hosted.byte_signs import BYTES

_ONE_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE: Final = "▁"


@dataclass(frozen=True, slots=True)
class Pieces:
    """`byte_level`: each character stands for a byte, by the table of GPT-2."""

    byte_level: bool = False

    def bytes_of(self, token: str) -> bytes:
        """Those of one token; of one that the table has not (`<|im_end|>` has), its own text."""
        if self.byte_level:
            if all(sign in BYTES for sign in token):
                return bytes(BYTES[sign] for sign in token)
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
