"""The signs that stand for bytes in a vocabulary of bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _bytes_of_signs() -> dict[str, int]:
    """After GPT-2, `encoder.py`: printable ones are themselves, the others follow from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    signs = {chr(byte): byte for byte in plain}
    return signs | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES: Final[Mapping[str, int]] = _bytes_of_signs()
