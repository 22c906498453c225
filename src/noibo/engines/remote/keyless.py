"""An answer of another server without the key that noibo asked it with.

Some servers say again what they were sent, when something is wrong or to be found wrong; the key is
the house's, and no caller's to read.
"""

from __future__ import annotations

from typing import Final

from noibo.engines import line

INSTEAD: Final = b"[key]"
_SHORTEST: Final = 8  # bytes: a shorter one is a dummy, and stands in answers by chance


def without(key: str, response: line.Response) -> line.Response:
    """The same answer, whole or in pieces, wherever they are cut."""
    return Keyless(response, key.encode()) if len(key) >= _SHORTEST else response


class Keyless(line.Response):
    """What could still become the key is held back, and nothing else."""

    def __init__(self, inner: line.Response, key: bytes) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner, self._key = inner, key
        self._held = b""

    async def piece(self) -> bytes:
        while said := await self._inner.piece():
            text = (self._held + said).replace(self._key, INSTEAD)
            hold = self._begun(text)
            self._held = text[hold:]
            if hold:
                return text[:hold]
        rest, self._held = self._held, b""
        return rest

    async def read(self) -> bytes:
        return (await self._inner.read()).replace(self._key, INSTEAD)

    def close(self) -> None:
        self._inner.close()

    def _begun(self, text: bytes) -> int:
        """From where on the key has begun, and is not whole."""
        at = text.find(self._key[:1], max(0, len(text) - len(self._key) + 1))
        while at >= 0 and not self._key.startswith(text[at:]):
            at = text.find(self._key[:1], at + 1)
        return len(text) if at < 0 else at
