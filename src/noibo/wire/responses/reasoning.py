"""`encrypted_content` of reasoning items: what a caller hands back who keeps the history itself.

Nothing is hidden here from who may read the reasoning anyway, so it is packed and not encrypted;
the name is OpenAI's.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final

from noibo.errors import InvalidRequest
from noibo.wire.responses.budget import Budget

_MARK: Final = "noibo1."


def sealed(text: str) -> str:
    """A reasoning text as one opaque word."""
    return _MARK + base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()


def unsealed(word: str, budget: Budget) -> str:
    """The text again, taken from `budget`. Raises `InvalidRequest`, also for what another made."""
    try:
        if not word.startswith(_MARK):
            raise ValueError("another's")
        packed = base64.b64decode(word.removeprefix(_MARK), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, budget.left + 1)
        budget.take(len(text))
        if not unpacker.eof:
            raise ValueError("cut off")
        return text.decode()
    except (ValueError, binascii.Error, zlib.error):
        raise InvalidRequest(
            "encrypted_content was not made by noibo: nobody else's can be read.",
            param="input",
            next_step="Leave reasoning items of other servers out.",
        ) from None
