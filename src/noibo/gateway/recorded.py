"""What a request carries that changes no answer, as who it is for: noted at debug, for whoever
looks for it, and never with what it says."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

log = logging.getLogger(__name__)


def note(caller: str, recorded: Mapping[str, Any]) -> None:
    """The names of what was sent, and of each value enough to tell two apart."""
    if recorded and log.isEnabledFor(logging.DEBUG):
        said = ", ".join(f"{name} {_digest(value)}" for name, value in sorted(recorded.items()))
        log.debug("%s sent %s", caller, said)


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:8]
