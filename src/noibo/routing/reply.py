"""What a server said to a request, whole. Nothing in it is believed to have the right shape."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

_LONGEST_WAIT_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said, whole."""

    status: int
    content: bytes
    retry_after: str = ""

    @property
    def wait_s(self) -> float | None:
        """Seconds that its `Retry-After` asks for, a number or a date; None where it is neither."""
        if self.retry_after.isdecimal():
            return min(float(self.retry_after[:12]), _LONGEST_WAIT_S)
        try:
            left = parsedate_to_datetime(self.retry_after).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
        return min(max(left, 0.0), _LONGEST_WAIT_S)

    @property
    def said(self) -> Any:
        """Its JSON; None for what is none."""
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def message(self) -> str:
        """What an error in OpenAI's shape says."""
        error = self.said.get("error") if isinstance(self.said, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return message if isinstance(message, str) else ""
