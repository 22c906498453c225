"""By what a value in data is known: the name of its field, and what stands around that.

`{"account": {"number": 19001234567}}` and `{"label": "Account number", "value": 19001234567}` say
what the number is, and a finder is told so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NAME: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,40}", re.ASCII)
_LABELS: Final = frozenset({"field", "key", "label", "name", "question", "title"})
_VALUES: Final = frozenset({"answer", "content", "data", "text", "val", "value", "values"})
_SHORT: Final = 60  # characters of a label


@dataclass(frozen=True, slots=True)
class Key:
    """`outer` is the name of the field that the object stands in; `label` what a field beside it
    says of it."""

    name: str = ""
    outer: str = ""
    label: str = ""

    @property
    def context(self) -> str:
        """What stands before the value, as a finder reads it."""
        if not self.name:
            return ""
        before = self.label if self.label and self.name.casefold() in _VALUES else self.outer
        return f"{before} {self.name}: " if before else f"{self.name}: "

    @property
    def step(self) -> str:
        """Its part of a place. A name that is somebody's is not to be told."""
        return self.name if NAME.fullmatch(self.name) else "*"

    def beside(self, name: str) -> Key:
        """Of another field of the same object."""
        return Key(name, self.outer, self.label)

    def inside(self) -> Key:
        """Of an object that is the value."""
        return Key(outer=self.name)

    def labelled(self, value: object) -> Key:
        """Where this field says what another is."""
        if isinstance(value, str) and self.name.casefold() in _LABELS and len(value) <= _SHORT:
            return Key(self.name, self.outer, value)
        return self
