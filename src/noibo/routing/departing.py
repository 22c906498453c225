"""How `HybridLLM` lets a question leave: judged, redacted, written down, and its answer put back
into the caller's own words. The same policy, detector and door as of the server.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from noibo.egress import UNREACHED, Departure, Destination, Door, Purpose
from noibo.errors import UsageError
from noibo.privacy.judgement import CALLER, Judgement, Reason
from noibo.privacy.judging import Find, judged
from noibo.privacy.outgoing import outgoing
from noibo.privacy.policy import Policy
from noibo.privacy.receipt import Receipt, Sent
from noibo.routing.endpoint import Endpoint, NotAnswered, Passage
from noibo.wire.openrouter import KEEPS_NOTHING, is_openrouter

CHAT: Final = "/v1/chat/completions"


@dataclass(slots=True)
class Gate:
    """What may leave, by the house's policy. `find` is the detector; None fails closed."""

    policy: Policy
    door: Door
    find: Find | None

    def judge(self, fields: Mapping[str, Any], label: str | None) -> Judgement:
        """What a chat is, by what its caller says of it and what is found in it."""
        said = [Reason(CALLER, label, "label=")] if label else []
        until = time.monotonic() + self.policy.detect_s
        return judged(self.policy, fields, self.find, said, lambda: time.monotonic() > until)

    def ask(self, endpoint: Endpoint, fields: Mapping[str, Any], journey: Journey) -> Any:
        """The answer of a server elsewhere. Raises `NotAnswered`, `MustStay`, `EgressRefused`."""
        left = outgoing(journey.judgement, fields, self.find, CHAT)
        body = msgspec.json.encode(_for_provider(endpoint, left.fields))
        way = self.door.open(Purpose.CLOUD_MODEL, [Destination.of(endpoint.url)])
        departure = way.depart(
            f"{endpoint.url}/chat/completions",
            body=body,
            label=journey.judgement.label,
            request=journey.request_id,
            policy=self.policy.fingerprint,
        )
        passage, outcome = Passage(), "cancelled"
        try:
            answer = endpoint.chat(body, passage)
            outcome = "done"
        except NotAnswered as failed:
            outcome = failed.outcome.value
            raise
        finally:
            _settle(departure, passage, outcome)
            sent = Sent.of(str(departure.destination), body, left.redaction.counts)
            journey.arrived(sent, written=passage.written)
        return left.redaction.restored(answer)


@dataclass(slots=True)
class Journey:
    """What becomes of one question: what it was judged to be, and the receipt so far."""

    judgement: Judgement
    receipt: Receipt
    request_id: str = field(default_factory=lambda: f"hybrid-{uuid.uuid4().hex[:16]}")

    @classmethod
    def of(cls, judgement: Judgement) -> Journey:
        made = cls(judgement, Receipt.of(judgement, ""))
        made.receipt = Receipt.of(judgement, made.request_id)
        return made

    def arrived(self, sent: Sent, *, written: bool) -> None:
        """One attempt is over: it left if something of it was written to a connection."""
        receipt = self.receipt
        self.receipt = receipt.with_sent(sent) if written else receipt.with_tried(sent.destination)


def _settle(departure: Departure, passage: Passage, outcome: str) -> None:
    departure.written = passage.written
    if passage.written:
        departure.settle(departure.bytes, passage.received, outcome)
    else:
        departure.settle(0, 0, UNREACHED)


def messages_of(
    query: str, context: str | Sequence[Any] | None, system: str
) -> list[dict[str, Any]]:
    """A question with what it is about: a text, several texts, or the turns before it. Raises
    `UsageError` for what is neither, or cannot be sent as JSON."""
    if not isinstance(query, str) or not isinstance(context, str | list | tuple | None):
        raise UsageError(
            "A question is a text; its context is a text, a list of texts or of turns, or None.",
            next_step="Give bytes as bytes.decode(), and a single turn in a list.",
        )
    messages = _messages(query, context, system)
    try:
        msgspec.json.encode(messages)
    except (TypeError, ValueError, RecursionError) as exc:
        raise UsageError(
            f"The question or its context cannot be sent: {exc}.",
            next_step="Give texts of whole characters: text.encode(errors='replace').decode().",
        ) from exc
    return messages


def _messages(query: str, context: str | Sequence[Any] | None, system: str) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    texts = [context] if isinstance(context, str) else list(context or ())
    said = [dict(one) for one in texts if isinstance(one, Mapping)]
    if said and (
        len(said) < len(texts) or not all(isinstance(one.get("role"), str) for one in said)
    ):
        raise UsageError(
            "A context of mappings is the turns before the question; one of these has no role.",
            next_step="Give documents as their texts: [one['text'] for one in documents].",
        )
    if said:
        return [*turns, *said, {"role": "user", "content": query}]
    about = "\n\n".join(str(one) for one in texts if str(one).strip())
    return [*turns, {"role": "user", "content": f"{about}\n\n{query}" if about else query}]


def _for_provider(endpoint: Endpoint, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """OpenRouter is told to ask only who keeps nothing of what is sent."""
    if endpoint.openrouter or is_openrouter(urlsplit(endpoint.url).hostname or ""):
        return {**fields, "provider": fields.get("provider", {}) | KEEPS_NOTHING}
    return fields
