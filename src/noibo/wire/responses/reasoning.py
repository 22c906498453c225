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

_MARK: Final = "noibo1."
_LONGEST: Final = 2**24


def sealed(text: str) -> str:
    """A reasoning text as one opaque word."""
    return _MARK + base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()


def unsealed(word: str) -> str:
    """The text again. Raises `InvalidRequest` for what another made."""
    try:
        if not word.startswith(_MARK):
            raise ValueError("another's")
        packed = base64.b64decode(word.removeprefix(_MARK), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, _LONGEST)
        if not unpacker.eof:
            raise ValueError("too long")
        return text.decode()
    except (ValueError, binascii.Error, zlib.error):
        raise InvalidRequest(
            "encrypted_content was not made by noibo: nobody else's can be read.",
            param="input",
            next_step="Leave reasoning items of other servers out.",
        ) from None
