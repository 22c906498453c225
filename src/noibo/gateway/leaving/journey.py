"""One request that may leave this machine, as far as it has come: what it was judged to be, and
what of it went where.

Its record carries it. Placeholders are the same for all that is sent for it, whichever model is
asked after which. The values behind them are forgotten with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from noibo.egress import Departure
from noibo.privacy.judgement import Judgement
from noibo.privacy.judging import Find
from noibo.privacy.receipt import STAYED, Receipt, Sent
from noibo.privacy.redaction import Redaction
from noibo.privacy.span import Span
from noibo.wire.management import RECEIPTS

UNDECIDED: Final = "not decided yet"
_LEFT_OUT: Final = "it would be of placeholders, and of no word that the answer has"
Keep = Callable[[str, str, dict[str, Any]], None]  # a request, whose it was, its receipt


def _nowhere(request: str, owner: str, told: dict[str, Any]) -> None:
    """For one that nobody will ask for."""


class Journey:
    """`pending`: it may still leave, or more of it."""

    __slots__ = (
        "_departed",
        "_find",
        "_keep",
        "_seen",
        "at",
        "judgement",
        "left_out",
        "owner",
        "pending",
        "redaction",
        "request_id",
        "route",
        "trusted",
    )

    def __init__(self, request_id: str, owner: str, at: float, keep: Keep = _nowhere) -> None:
        self.request_id = request_id
        self.owner = owner
        self.at = at
        self.judgement: Judgement | None = None
        self.redaction = Redaction()
        self.trusted: set[str] = set()  # servers of one's own, whatever its label
        self.left_out: set[str] = set()  # fields of the request that went without them
        self.pending = True
        self.route: dict[str, Any] = {}  # how a virtual model chose
        self._departed: list[tuple[Sent, Departure]] = []
        self._keep = keep
        self._find: Find | None = None
        self._seen: dict[str, Sequence[Span]] = {}

    def finding(self, find: Find | None) -> Find | None:
        """The same detector, which looks through each text of this request once, in however many
        shapes it comes by."""
        self._find = find
        return None if find is None else self._once

    def judged(self, judgement: Judgement) -> Judgement:
        """All that was judged of it until now, with this."""
        known = self.judgement
        self.judgement = judgement if known is None else known.joined(judgement)
        return self.judgement

    def departs(self, sent: Sent, departure: Departure) -> None:
        """One attempt: it has left as soon as something of it is written to a connection."""
        self._departed.append((sent, departure))

    @property
    def receipt(self) -> Receipt | None:
        """None where nothing was judged: nothing was going to leave."""
        if self.judgement is None:
            return None
        made = Receipt.of(self.judgement, self.request_id)
        for sent, departure in self._departed:
            reached = departure.written
            made = made.with_sent(sent) if reached else made.with_tried(sent.destination)
        return made

    def header(self) -> str:
        """What the response says of it. What is not known when headers go is told later."""
        receipt = self.receipt
        if receipt is not None and receipt.sent:
            own = "".join(f"; own={one}" for one in sorted(self.trusted))
            less = "".join(f"; left_out={one}" for one in sorted(self.left_out))
            return receipt.header() + own + less
        if self.pending:
            return f"{UNDECIDED}; see={RECEIPTS}/{self.request_id}"
        return STAYED if receipt is None else receipt.header()

    def as_json(self) -> dict[str, Any]:
        """The whole of it."""
        receipt = self.receipt
        told: dict[str, Any] = (
            {"receipt": STAYED, "stayed": True, "request_id": self.request_id}
            | {"sent": [], "tried": []}
            if receipt is None
            else receipt.as_json()
        )
        if self.pending and not told["sent"]:
            told |= {"receipt": UNDECIDED, "stayed": None}
        told["own"] = sorted(self.trusted)
        told["left_out"] = dict.fromkeys(sorted(self.left_out), _LEFT_OUT)
        return told | {"time": self.at} | ({"route": self.route} if self.route else {})

    def end(self) -> None:
        """It is over: nothing more is sent, and what was kept back of it is forgotten."""
        self.pending = False
        self._keep(self.request_id, self.owner, self.as_json())
        self.redaction = Redaction()
        self._seen.clear()
        self._find = None
        if self.judgement is not None:
            self.judgement = Judgement(
                self.judgement.policy, self.judgement.reasons, self.judgement.unread
            )

    def _once(self, text: str) -> Sequence[Span]:
        spans = self._seen.get(text)
        if spans is None:
            assert self._find is not None  # noqa: S101 - `finding` set it
            spans = self._seen[text] = self._find(text)
        return spans
