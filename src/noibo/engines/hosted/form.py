"""An answer that keeps to a grammar, token by token, by llguidance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noibo.engines.hosted.wanted import Refused


class Guided:
    """A grammar, as far as it has been written. `guide`: the vocabulary as llguidance has it."""

    def __init__(self, guide: Any, grammar: str) -> None:
        import llguidance  # slow to load, and few ask for it

        # The line in front says what it is; a grammar alone is what the library wants.
        _, _, rules = grammar.lstrip().partition("\n")
        self._matcher = llguidance.LLMatcher(guide, rules)
        self._require_none_wrong()

    def allowed(self, size: int) -> NDArray[np.bool_]:
        """Which tokens may come next, of so many."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._require_none_wrong()
        allowed = np.unpackbits(bits, bitorder="little")[:size].astype(np.bool_)
        return np.pad(allowed, (0, size - len(allowed)))

    def take(self, token: int) -> bool:
        """A token was written; True if nothing can follow."""
        self._matcher.consume_token(token)
        self._require_none_wrong()
        return bool(self._matcher.is_stopped())

    def _require_none_wrong(self) -> None:
        if self._matcher.is_error():
            raise Refused(f"grammar: {self._matcher.get_error()}", "grammar")
