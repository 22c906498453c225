"""The vectors of all tokens of a text, of a model that does not pool: taken row by row as the
engine says them, since a long text has thousands of them and each has as many numbers as a vector.

Their mean is taken while they pass. They are kept only for whoever wants to hear them all, as the
text that the engine said, and no more of them than `MOST`.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from noibo.engines.upstream import Upstream
from noibo.errors import EngineError, InvalidRequest
from noibo.gateway.off_loop import off_loop
from noibo.wire import embeddings, openai
from noibo.wire.body import UNREADABLE, Fields

if TYPE_CHECKING:
    import numpy as np

MOST: Final = 2**22  # numbers in one answer, of some twenty bytes each
PATH: Final = "/embedding"
_ROW: Final = re.compile(rb"\[[^\[\]]+\]")
_decode: Final = msgspec.json.Decoder(list[float]).decode


@dataclass(slots=True)
class Room:
    """How many numbers may still be kept, for all texts of a request; None: none are."""

    left: int = MOST

    def take(self, numbers: int) -> None:
        """Raises `InvalidRequest` when there is no more."""
        self.left -= numbers
        if self.left < 0:
            raise InvalidRequest(
                f"The vectors of all tokens have more than {MOST:,} numbers.",
                next_step="Send fewer or shorter texts at a time, or ask /v1/embeddings for one "
                "vector of each.",
            )


class Rows:
    """The vectors of all tokens of one text, while they are read."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room
        self._rest = b""
        self._sum: np.ndarray[Any, np.dtype[np.float64]] | None = None
        self.count = 0
        self.kept: list[bytes] = []

    def take(self, said: bytes) -> None:
        """More of what the engine says. Raises `EngineError` for rows that are none."""
        said = self._rest + said
        end = 0
        for found in _ROW.finditer(said):
            self._add(found[0])
            end = found.end()
        self._rest = said[end:]

    def _add(self, said: bytes) -> None:
        import numpy as np  # slow to load, and few models do not pool

        try:
            row = np.array(_decode(said))
            if self._sum is None:
                self._sum = np.zeros(len(row))
            if len(row) != len(self._sum):  # numpy would repeat a single number
                raise ValueError(f"{len(row)} numbers after {len(self._sum)}")
            self._sum += row
        except (*UNREADABLE, ValueError) as exc:
            raise EngineError(f"The engine's answer has no vectors ({exc!r}).") from exc
        self.count += 1
        if self._room is not None:
            self._room.take(len(row))
            self.kept.append(said)

    def mean(self) -> array[float]:
        """One vector for all of them, of length 1."""
        if self._sum is None:
            raise EngineError("The engine's answer has no vectors.")
        return embeddings.normalised(embeddings.sound(array("f", self._sum / self.count)))


async def read(upstream: Upstream, fields: Fields, room: Room | None) -> Rows:
    """The rows of one text. Raises `EngineRefused`."""
    rows = Rows(room)
    async with upstream.generate(PATH, fields) as response:
        refused = bytearray()
        async for chunk in upstream.chunks(response):
            if response.status == 200:
                await off_loop(len(chunk), rows.take, chunk)
            else:
                refused += chunk
        if response.status != 200:
            raise openai.refusal(response.status, bytes(refused))
    return rows
