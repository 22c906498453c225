"""The most that a request can take: tokens of its prompt, and of all its answers together.

What is put aside must not be less than what is charged, whatever the caller writes into the fields:
of two limits the wider one counts, a limit that is none counts for nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from noibo.engines.engine import plain
from noibo.wire.body import UNREADABLE, raw

USUAL_ANSWER: Final = 8192  # tokens, of a request that sets no limit: more is rare
PICTURE_TOKENS: Final = 3000
_LIMIT, _OLDER_LIMIT = "max_completion_tokens", "max_tokens"
_CHAT, _TEXT = "/chat/completions", "/completions"
_SILENT: Final = ("/embeddings", "/rerank")  # nothing is written there
_PICTURE: Final = re.compile(rb'"data:image/[^"]*"')
# Tokenisers join letters that often stand together. Of all else a token may be a single byte.
_JOINED: Final = b"abcdefghijklmnopqrstuvwxyz "
_MOST: Final = 10**12


def of_prompt(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of a prompt, rather too many than too few, and its pictures."""
    text, pictures = _PICTURE.subn(b"", msgspec.json.encode(fields))
    alone = len(text.translate(None, _JOINED))
    joined = len(text) - alone
    return alone + joined // 2 + PICTURE_TOKENS * pictures, pictures


def of_answers(path: str, fields: Mapping[str, Any]) -> int:
    """Tokens that may be written: of each prompt, in each answer."""
    if path.endswith(_SILENT):
        return 0
    longest = _limit(fields) or USUAL_ANSWER
    return min(longest * _answers(path, fields), _MOST)


def limited(host: str, path: str, fields: dict[str, Any]) -> None:
    """Where nothing says how long an answer may be, it is said: only so the most is a most."""
    if path.endswith((_CHAT, _TEXT)) and not _limit(fields):
        for name in (_LIMIT, _OLDER_LIMIT):
            fields.pop(name, None)
        fields[_limit_of(host, path)] = raw(USUAL_ANSWER)


def _limit_of(host: str, path: str) -> str:
    """OpenAI's newer models take the new name only; most others have only the old one."""
    return _LIMIT if path.endswith(_CHAT) and host == "api.openai.com" else _OLDER_LIMIT


def _limit(fields: Mapping[str, Any]) -> int:
    return max(_count(fields, _LIMIT), _count(fields, _OLDER_LIMIT))


def _answers(path: str, fields: Mapping[str, Any]) -> int:
    each = max(_count(fields, "n"), 1)
    if path.endswith(_CHAT):
        return each
    prompts = _plain(fields, "prompt")
    several = isinstance(prompts, list) and not all(isinstance(one, int) for one in prompts)
    return max(each, _count(fields, "best_of")) * (len(prompts) if several else 1)


def _count(fields: Mapping[str, Any], name: str) -> int:
    """A number above 0; 0 for anything else. Servers take 3.0 and "3" for 3, so they are."""
    said = _plain(fields, name)
    try:
        found = float(said) if isinstance(said, int | float | str) else 0.0
    except OverflowError:
        return _MOST
    except ValueError:
        return 0
    return math.ceil(min(found, _MOST)) if found > 0 else 0


def _plain(fields: Mapping[str, Any], name: str) -> Any:
    try:
        return plain(fields[name]) if name in fields else None
    except UNREADABLE:
        return None
