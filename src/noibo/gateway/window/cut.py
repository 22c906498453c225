"""What was cut of a request, as its caller is told: in a header, and in the answer's last event."""

from __future__ import annotations

from dataclasses import dataclass, replace

from noibo.wire.body import Json

MEMBER = "noibo"  # of an answer, in every API


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut, and by which policy. `instead_of`: the policy that was asked for, where it
    could not be followed. `tokens` that the model did not read, of so many `messages` or `inputs`;
    0 where the prompt is whole. `limit`: how many tokens the answer can have, where that is less
    than was asked for. `summary` stands for what was cut, and has `summary_tokens`."""

    policy: str
    window: int
    instead_of: str = ""
    messages: int = 0
    inputs: int = 0
    tokens: int = 0
    limit: int = 0
    summary: str = ""
    summary_tokens: int = 0

    def after(self, before: Cut | None) -> Cut:
        """With what was cut before."""
        return self if before is None else replace(self, tokens=self.tokens + before.tokens)

    def _facts(self) -> Json:
        said = {
            "policy": self.policy,
            "instead_of": self.instead_of,
            "messages": self.messages,
            "inputs": self.inputs,
            "tokens": self.tokens,
            "limit": self.limit,
            "summary_tokens": self.summary_tokens,
        }
        return {name: value for name, value in said.items() if value} | {"window": self.window}

    def header(self) -> str:
        """`policy=drop_oldest; messages=4; tokens=1234; window=2048`."""
        return "; ".join(f"{name}={value}" for name, value in self._facts().items())

    def member(self) -> Json:
        """What an answer has besides."""
        summary = {"summary": self.summary} if self.summary else {}
        return {MEMBER: {"cut": self._facts() | summary}}
