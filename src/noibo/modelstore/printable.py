"""Text from a file that nobody vouches for, made safe to print.

A name in a model file may hold escape sequences that drive the terminal, or direction marks that
turn a line round. What is not printable is shown as its escape, so that one sees it is there.
"""

from __future__ import annotations


def shown(text: str, limit: int = 200) -> str:
    """`text` on one line, every unprintable character escaped, at most `limit` characters of it."""
    head = text[:limit]
    escaped = "".join(c if c.isprintable() else _escape(c) for c in head)
    return escaped if len(text) <= limit else f"{escaped}… ({len(text):,} characters)"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
