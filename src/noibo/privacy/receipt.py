"""What became of one request: that it stayed on this machine, or what of it went where, and why.

Every response carries one: short in the header `X-Noibo-Receipt`, whole as JSON. No word of what
was sent is in it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from noibo.privacy.judgement import Judgement, Reason
from noibo.privacy.sensitivity import Rule

HEADER: Final = "X-Noibo-Receipt"
STAYED: Final = "stayed on this machine"
_SHOWN: Final = 12  # signs of a digest, in the header


@dataclass(frozen=True, slots=True)
class Sent:
    """One body that left. `size` is in bytes; `sha256` is of them
    as they were sent."""

    destination: str
    size: int
    sha256: str
    redacted: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, destination: str, content: bytes, redacted: Mapping[str, int] | None = None
    ) -> Sent:
        digest = hashlib.sha256(content).hexdigest()
        return cls(destination, len(content), digest, dict(redacted or {}))

    def as_json(self) -> dict[str, Any]:
        return {
            "destination": self.destination,
            "bytes": self.size,
            "sha256": self.sha256,
            "redacted": dict(self.redacted),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """`sent` has one entry for each time that something left, retries and fallbacks too; `tried`
    one for each time that nobody was reached, and so nothing did."""

    request_id: str
    label: str
    rule: Rule
    policy: str
    reasons: tuple[Reason, ...] = ()
    sent: tuple[Sent, ...] = ()
    tried: tuple[str, ...] = ()

    @classmethod
    def of(cls, judgement: Judgement, request_id: str) -> Receipt:
        """Of a request that has not left yet."""
        return cls(
            request_id,
            judgement.label,
            judgement.rule,
            judgement.policy.fingerprint,
            judgement.deciding,
        )

    def with_sent(self, sent: Sent) -> Receipt:
        return replace(self, sent=(*self.sent, sent))

    def with_tried(self, destination: str) -> Receipt:
        return replace(self, tried=(*self.tried, destination))

    @property
    def stayed(self) -> bool:
        return not self.sent

    def header(self) -> str:
        """Of ASCII, in the form `key=value` with `; ` between, after what became of it."""
        said = [STAYED] if self.stayed else ["left this machine"]
        for one in self.sent:
            said += [f"to={_plain(one.destination)}", f"bytes={one.size}"]
            said += [f"sha256={one.sha256[:_SHOWN]}", f"redacted={_counted(one.redacted)}"]
        said += [f"tried={_plain(one)}" for one in dict.fromkeys(self.tried)]
        said += [f"label={self.label}", f"rule={self.rule}", f"policy={self.policy}"]
        return "; ".join([*said, f"request={_plain(self.request_id)}"])

    def as_json(self) -> dict[str, Any]:
        return {
            "receipt": STAYED if self.stayed else "left this machine",
            "stayed": self.stayed,
            "request_id": self.request_id,
            "label": self.label,
            "rule": str(self.rule),
            "reasons": [
                {"source": one.source, "label": one.label, "because": one.because}
                for one in self.reasons
            ],
            "policy": self.policy,
            "sent": [one.as_json() for one in self.sent],
            "tried": tried_json(self.tried),
        }

    def __str__(self) -> str:
        return self.header()


def tried_json(tried: Iterable[str]) -> list[dict[str, Any]]:
    """Destinations where nobody was reached, and how often."""
    return [{"destination": one, "attempts": count} for one, count in Counter(tried).items()]


def _counted(redacted: Mapping[str, int]) -> str:
    return ",".join(f"{kind}:{count}" for kind, count in sorted(redacted.items())) or "none"


def _plain(text: str) -> str:
    """As a header can carry it, and nobody can add a part to it."""
    return "".join(
        one if one.isascii() and one.isprintable() and one not in "; ," else "_" for one in text
    )
