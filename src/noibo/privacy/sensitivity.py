"""What a piece of text may do: a label, out of a rising scale, and the rule of each label.

    public < internal < personal < secret

Names and number of the labels are the house's own (`[privacy] labels`). The highest of what is said
of a text holds, whoever says it, so that joining is all that is ever done with labels: in any
order, as often as one likes, and never downward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PUBLIC: Final = "public"
INTERNAL: Final = "internal"
PERSONAL: Final = "personal"
SECRET: Final = "secret"  # noqa: S105 - the name of a label
# Of what nobody could judge: a label that is none, a detector that failed. Above all others.
UNKNOWN: Final = "unknown"


class Rule(IntEnum):
    """What a label allows, the stricter the greater."""

    LEAVE = 0
    REDACT = 1  # it leaves with placeholders in place of what is personal
    STAY = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Scale:
    """The labels of a house, rising."""

    labels: tuple[str, ...] = (PUBLIC, INTERNAL, PERSONAL, SECRET)

    def __contains__(self, label: object) -> bool:
        return label in self.labels

    def known(self, label: object) -> str:
        """The label as the scale has it; `unknown` for what is none. Case and spaces around it are
        not part of it: who writes `Secret` means it."""
        plain = label.strip().casefold() if isinstance(label, str) else ""
        return next((one for one in self.labels if one.casefold() == plain), UNKNOWN)

    def rank(self, label: str) -> int:
        """Its place from below; what is no label stands above all."""
        return self.labels.index(label) if label in self.labels else len(self.labels)

    def highest(self, labels: Iterable[str]) -> str:
        """Raises `ValueError` where there is none."""
        return max((one if one in self.labels else UNKNOWN for one in labels), key=self.rank)

    @property
    def top(self) -> str:
        return self.labels[-1]
