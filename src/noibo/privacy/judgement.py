"""What was judged of a request, an answer or anything else made of text: its label, and why.

A judgement is carried along with what it is of: into history, retrieved passages, results of tools,
stored answers, retries and requests to a judge; there it is joined with what is said of the rest.
Joining only ever raises a label, and it does not matter in which order it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from noibo.privacy.policy import Policy
from noibo.privacy.sensitivity import UNKNOWN, Rule
from noibo.privacy.span import Span
from noibo.privacy.walk import OWN, Piece
from noibo.wire import body

HEADER: Final = "X-Noibo-Label"
LABEL: Final = "label"  # in a body: {"noibo": {"label": "secret"}}
# Who says a label.
CALLER: Final = "caller"
USER: Final = "user"
KEY: Final = "key"
MODEL: Final = "model"
DETECTOR: Final = "detector"
UNSCANNED: Final = "unscanned"
FAULT: Final = "fault"
HISTORY: Final = "history"
FOLDER: Final = "folder"
DOCUMENT: Final = "document"
DEFAULT: Final = "default"

Found = Mapping[tuple[str, ...], tuple[Span, ...]]  # by `Piece.key`


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One voice: who said which label, and what of. Never a value that was found."""

    source: str
    label: str
    because: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.label}" + (f" ({self.because})" if self.because else "")


@dataclass(frozen=True, slots=True)
class Judgement:
    """`found`: what the detector saw in each text, by what stood before it and the text itself, so
    that it holds in whatever shape the text is sent. `unread`: places that nobody could look into.
    """

    policy: Policy = field(repr=False)
    reasons: tuple[Reason, ...]
    unread: tuple[str, ...] = ()
    found: Found = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, policy: Policy, said: Iterable[Reason] = ()) -> Judgement:
        """By what is said alone, without a look at any text."""
        known = [replace(one, label=policy.scale.known(one.label)) for one in said if one.label]
        if not known:
            known = [Reason(DEFAULT, policy.default_label, "nobody says a label")]
        return cls(policy, _once(known))

    @property
    def label(self) -> str:
        """The highest of what was said."""
        return self.policy.highest(one.label for one in self.reasons)

    @property
    def rule(self) -> Rule:
        """What may be done with it. What would leave redacted stays where part of it cannot be
        read: nobody can redact that."""
        rule = self.policy.rule(self.label)
        return Rule.STAY if rule is Rule.REDACT and self.unread else rule

    @property
    def may_leave(self) -> bool:
        return self.rule is not Rule.STAY

    @property
    def deciding(self) -> tuple[Reason, ...]:
        """The voices that its label comes from."""
        label = self.label
        return tuple(one for one in self.reasons if one.label == label)

    @property
    def counts(self) -> dict[str, int]:
        """How many places of each kind were found."""
        return dict(Counter(span.label for spans in self.found.values() for span in spans))

    def joined(self, other: Judgement) -> Judgement:
        """Of both together."""
        return Judgement(
            self.policy,
            _once([*self.reasons, *other.reasons]),
            tuple(dict.fromkeys((*self.unread, *other.unread))),
            {**self.found, **other.found},
        )

    def raised(self, source: str, label: str, because: str = "") -> Judgement:
        """With one more voice."""
        return self.joined(Judgement.of(self.policy, [Reason(source, label, because)]))

    def carried(self, source: str = HISTORY) -> Reason:
        """As a voice in the judgement of whatever takes this up later."""
        return Reason(source, self.label, "; ".join(sorted({one.source for one in self.deciding})))

    def spans(self, piece: Piece) -> tuple[Span, ...] | None:
        """What was found in a text; None for one that nobody has looked at."""
        return self.found.get(piece.key)

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "rule": str(self.rule),
            "reasons": [
                {"source": one.source, "label": one.label, "because": one.because}
                for one in self.reasons
            ],
            "found": self.counts,
            "unread": list(self.unread),
            "policy": self.policy.fingerprint,
        }


def said_by_caller(header: str | None, fields: Mapping[str, Any]) -> list[Reason]:
    """What who asks says: in the header, in the body, or in both. What is no text is no label, and
    so `unknown`."""
    said = [Reason(CALLER, header, HEADER)] if header and header.strip() else []
    own = _own(fields)
    if LABEL in own:
        label = own[LABEL]
        is_label = isinstance(label, str) and bool(label)
        said.append(Reason(CALLER, label if is_label else UNKNOWN, f"{OWN}.{LABEL}"))
    return said


def _own(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    own = fields.get(OWN)
    if isinstance(own, msgspec.Raw):
        try:
            own = msgspec.json.decode(own)
        except body.UNREADABLE:
            return {LABEL: None}
    if own is None or isinstance(own, dict):
        return own or {}
    return {LABEL: None}


def _once(said: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(set(said)))
