"""How one API says what is not an answer: that something failed, and that it is still there."""

from __future__ import annotations

from typing import Protocol

from noibo.errors import NoiboError


class Voice(Protocol):
    """One API's shapes. Stateless: one for all requests."""

    @property
    def stream_type(self) -> str:
        """The content type of a streamed answer."""

    def error(self, error: NoiboError) -> bytes:
        """The body of an answer that is an error."""

    def last_event(self, error: NoiboError) -> bytes:
        """The same as the end of a stream that has begun, framed."""

    def comment(self, words: str) -> bytes:
        """Words in a stream that its readers pass over, framed; empty where there is no such."""
