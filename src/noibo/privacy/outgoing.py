"""A body as it may leave: as it is, or with placeholders, which its redaction takes out again of
the answer. What is noibo's own is not in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from noibo.errors import MustStay
from noibo.privacy.fields import changed, texts
from noibo.privacy.judgement import Judgement
from noibo.privacy.judging import Find, Undetected, scan
from noibo.privacy.notice import with_notice
from noibo.privacy.redaction import Redaction
from noibo.privacy.sensitivity import Rule
from noibo.privacy.span import Span
from noibo.privacy.spans import disjoint
from noibo.privacy.walk import OWN, Piece


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`redaction` is empty where nothing was replaced."""

    fields: dict[str, Any]
    redaction: Redaction


def outgoing(
    judgement: Judgement,
    fields: Mapping[str, Any],
    find: Find | None,
    path: str = "",
    redaction: Redaction | None = None,
) -> Outgoing:
    """The body as it may leave by its judgement, for an API of this path. What stands in it that
    was not judged, because it was put into another shape since, is looked through now. Raises
    `MustStay`."""
    own = {name: value for name, value in fields.items() if name != OWN}
    redaction = Redaction() if redaction is None else redaction
    redaction.count_anew()
    if judgement.rule is Rule.STAY:
        raise _must_stay(judgement)
    if judgement.rule is Rule.LEAVE:
        return Outgoing(own, redaction)
    try:
        made = _redacted(judgement, own, find, redaction)
    except Undetected as failed:
        raise MustStay(f"The request must stay on this machine: {failed}.") from None
    if redaction and judgement.policy.instructs:
        made = with_notice(made, path)
    return Outgoing(made, redaction)


def _redacted(
    judgement: Judgement, fields: dict[str, Any], find: Find | None, redaction: Redaction
) -> dict[str, Any]:
    seen = texts(fields)
    if seen.unread:
        raise Undetected(f"{seen.unread[0]} cannot be looked into")
    hidden = _hidden(judgement, find)
    for piece in seen.pieces:
        redaction.note(piece.text, hidden(piece))

    def change(piece: Piece) -> str:
        spans = disjoint([*hidden(piece), *redaction.known(piece.text)])
        return redaction.redact(piece.text, spans, bare=piece.bare)

    return changed(fields, change)


def _hidden(judgement: Judgement, find: Find | None) -> Callable[[Piece], list[Span]]:
    """What of a text may not be seen elsewhere."""
    new: dict[Piece, list[Span]] = {}

    def hidden(piece: Piece) -> list[Span]:
        spans = judgement.spans(piece)
        if spans is None:
            if piece not in new:
                if find is None:
                    raise Undetected("there is no detector")
                new[piece] = scan(piece, find)
            spans = tuple(new[piece])
        return [one for one in spans if judgement.policy.hides(one.label)]

    return hidden


def _must_stay(judgement: Judgement) -> MustStay:
    why = "; ".join(map(str, judgement.deciding))
    return MustStay(
        f"The request must stay on this machine: its label is {judgement.label} ({why}).",
        next_step="Ask a local model, or have the policy changed ([privacy] in noibo.toml).",
    )
