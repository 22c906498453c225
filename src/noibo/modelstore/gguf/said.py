"""What the metadata of a GGUF file says, asked by key and type.

Every key may be missing, and a hostile file gives it any type: what is not of the type the key
should have counts as not said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from noibo.modelstore.gguf.reader import GgufArray, GgufHeader

MAX_TEXT: Final = 2**20  # characters; what is longer is no name and no template
_MAX_WORDS: Final = 1_000  # languages or tags that are read
_MAX_LAYERS: Final = 10_000  # layers of which per-layer values are read


class Said:
    """What the metadata says, asked by key and type. `{arch}` stands for the architecture."""

    def __init__(self, header: GgufHeader) -> None:
        self._metadata = header.metadata
        self.architecture = self.text("general.architecture")

    def _get(self, key: str) -> object:
        if key.startswith("{arch}"):
            if self.architecture is None:
                return None
            key = self.architecture + key.removeprefix("{arch}")
        return self._metadata.get(key)

    def text(self, key: str) -> str | None:
        value = self._get(key)
        return value if isinstance(value, str) and len(value) <= MAX_TEXT else None

    def number(self, key: str) -> int | None:
        """A whole number, not negative; of a list with one for each layer, the largest."""
        numbers = self.numbers(key)
        return max(numbers) if numbers else None

    def numbers(self, key: str) -> tuple[int, ...]:
        """Whole numbers, not negative: one, or one for each layer; () if not said."""
        values = self._list(key)
        numbers = [n for n in values if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
        return tuple(numbers) if len(numbers) == len(values) else ()

    def real(self, key: str) -> float | None:
        """A finite number, not negative."""
        value = self._get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if 0 <= value < 1e9 else None

    def flags(self, key: str) -> tuple[int, ...]:
        """As `numbers`, or one truth for each layer as 0 or 1."""
        values = self._list(key)
        flags = [int(value) for value in values if isinstance(value, bool)]
        return tuple(flags) if flags and len(flags) == len(values) else self.numbers(key)

    def _list(self, key: str) -> Sequence[object]:
        value = self._get(key)
        return value.read(_MAX_LAYERS) if isinstance(value, GgufArray) else [value]

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings, or one string alone."""
        value = self._get(key)
        values = value.read(_MAX_WORDS) if isinstance(value, GgufArray) else [value]
        return tuple(word for word in values if isinstance(word, str))

    def length(self, key: str) -> int | None:
        """How many strings a list holds."""
        value = self._get(key)
        if isinstance(value, GgufArray) and value.element_type == "string":
            return value.count
        return None
