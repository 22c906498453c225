"""A detector that does not look twice through the same text.

A conversation is sent whole with every turn; what is new in it is its last text. Kept are places
and kinds, by a digest that is keyed anew in each process: no text, and nothing that tells it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from noibo.privacy.span import Span

MOST: Final = 20_000  # texts
MOST_PLACES: Final = 500_000  # in all of them together: some hundred bytes each
_WORTH_IT: Final = 32  # characters: a shorter text is looked through as fast as it is looked up


class Remembered:
    """Called as the detector's `find` is, from any thread."""

    def __init__(
        self,
        find: Callable[[str], Sequence[Span]],
        most: int = MOST,
        most_places: int = MOST_PLACES,
    ) -> None:
        self._find = find
        self._most = most
        self._most_places = most_places
        self._places = 0
        self._key = secrets.token_bytes(16)
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, text: str) -> Sequence[Span]:
        if len(text) < _WORTH_IT:
            return self._find(text)
        content = text.encode(errors="surrogatepass")
        digest = hashlib.blake2b(content, digest_size=16, key=self._key).digest()
        with self._lock:
            if (known := self._known.get(digest)) is not None:
                self._known.move_to_end(digest)
                return known
        found = tuple(self._find(text))
        with self._lock:
            self._places += len(found) - len(self._known.pop(digest, ()))
            self._known[digest] = found
            while len(self._known) > self._most or self._places > self._most_places:
                self._places -= len(self._known.popitem(last=False)[1])
        return found

    def __len__(self) -> int:
        return len(self._known)
