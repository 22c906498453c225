"""A person in a text: the names, numbers and addresses by which somebody is looked for.

A term is found as people write it: with other capitals, other spaces, either form of Unicode;
digits with any of the usual separators, and a telephone number with 0 or with +84 before it. With
`loose` a name is also found where it is written without its marks (Nguyen Van An).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.errors import UsageError

ERASED: Final = "[erased]"
_LEAST: Final = 3  # characters of a term: shorter ones stand in every text
_NUMBER: Final = re.compile(r"[+\d][\d\s.()/-]*")
_LEAST_DIGITS: Final = 6
_BETWEEN: Final = r"[\s.()/-]{0,3}"
_MARKS: Final = "[\u0300-\u036f]*"
_DEEPEST: Final = 8  # JSON within strings of JSON
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")  # a name of OpenAI's, or like one
# Values that say what something is, or which: no word of anybody's, and without them nothing can be
# read. Whatever else stands in such a field is a text: callers choose a `call_id` themselves.
_KINDS: Final = frozenset({"type", "object", "role", "status", "finish_reason", "endpoint"})
_KIND: Final = re.compile(r"[a-z/][a-z0-9_./-]{0,60}")
_IDS: Final = frozenset({"id", "call_id", "item_id", "previous_response_id", "request_id"})
_ID: Final = re.compile(r"[a-z_]{1,20}[_-][0-9a-f]{16,64}")  # as noibo itself gives them
_TIMES: Final = frozenset({"created_at", "completed_at"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom one looks for, by any of several terms."""

    pattern: re.Pattern[str]
    terms: tuple[str, ...] = ()

    @classmethod
    def of(cls, terms: Iterable[str], *, loose: bool = False) -> Wanted:
        """By these terms. Raises `UsageError` for one too short to mean anybody."""
        said = [" ".join(unicodedata.normalize("NFC", term).split()) for term in terms]
        for term in said:
            if len(term) < _LEAST:
                raise UsageError(
                    f"{term!r} is too short: it would be found in every text.",
                    next_step="Name the person as texts do: the whole name, number or address.",
                )
        if not said:
            raise UsageError("Nobody is named.", next_step="Name a person: --text 'NAME'.")
        longest_first = sorted(set(said), key=len, reverse=True)
        pattern = "|".join(_pattern(term, loose) for term in longest_first)
        return cls(re.compile(pattern, re.IGNORECASE), tuple(sorted(set(said))))

    def within(self, text: str) -> bool:
        """True if the person is named there."""
        return self.pattern.search(text) is not None

    def blank(self, text: str) -> str:
        """The text without."""
        return self.pattern.sub(ERASED, text)

    def excerpt(self, text: str, around: int = 30) -> str:
        """What stands around the first place, on one line; empty where there is none."""
        found = self.pattern.search(text)
        if found is None:
            return ""
        begin, end = max(0, found.start() - around), found.end() + around
        return ("…" if begin else "") + " ".join(text[begin:end].split())

    def within_json(self, value: Any) -> str:
        """The first text of a JSON value in which the person is named; empty for none."""
        return next((text for text in texts(value) if self._names(text)), "")

    def blank_json(self, value: Any) -> Any:
        """The value without."""
        return changed(value, self._blank_in_json)

    def _names(self, text: str) -> bool:
        return self._blank_in_json(text) != text if isinstance(text, Field) else self.within(text)

    def _blank_in_json(self, text: str) -> str:
        """Of a field's name, a single word is nobody: Max is not meant by `max_tokens`."""
        if not isinstance(text, Field):
            return self.blank(text)
        return self.pattern.sub(lambda found: found[0] if found[0].isalpha() else ERASED, text)


class Field(str):
    """The name of a field of JSON, or what looks like one."""

    __slots__ = ()


def texts(value: Any, depth: int = 0) -> Iterable[str]:
    """All texts of a JSON value that a caller can have written: keys too, and those of JSON that
    stands in a text."""
    if isinstance(value, str):
        inner = _inner(value) if depth < _DEEPEST else None
        if inner is None:
            yield value
        else:
            yield from texts(inner, depth + 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield _key(key)
            if not _is_of_the_shape(key, one):
                yield from texts(one, depth)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one, depth)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def changed(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """A JSON value whose texts are changed, also within JSON that stands in a text."""
    if isinstance(value, str):
        inner = _inner(value) if depth < _DEEPEST else None
        if inner is None:
            return change(value)
        other = changed(inner, change, depth + 1)
        return value if other == inner else msgspec.json.encode(other).decode()
    if isinstance(value, dict):
        return {
            str(change(_key(key))): (
                one if _is_of_the_shape(key, one) else changed(one, change, depth)
            )
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [changed(one, change, depth) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if (said := change(str(value))) == str(value) else said
    return value


def _key(key: Any) -> str:
    said = str(key)
    return Field(said) if _FIELD.fullmatch(said) else said


def _is_of_the_shape(key: str, value: Any) -> bool:
    """True for what the API itself says in a field."""
    if isinstance(value, str):
        return bool(
            (key in _KINDS and _KIND.fullmatch(value)) or (key in _IDS and _ID.fullmatch(value))
        )
    return key in _TIMES and not isinstance(value, dict | list)


def _inner(text: str) -> Any:
    """The JSON that a text is; None where it is none, or a plain word."""
    if text[:1] not in {"{", "[", '"'}:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict | list | str) and found != text else None


def _pattern(term: str, loose: bool) -> str:
    digits = [char for char in term if char.isdigit()]
    if _NUMBER.fullmatch(term) and len(digits) >= _LEAST_DIGITS:
        return _number(term, "".join(digits))
    words = [_word(word, loose) for word in term.split()]
    return r"(?<![^\W_])" + r"[\s_.-]+".join(words) + r"(?![^\W_\u0300-\u036f])"


def _number(term: str, digits: str) -> str:
    if term.startswith("+84") or (digits.startswith("84") and len(digits) >= 11):
        digits = "0" + digits[2:].removeprefix("0")
    if not digits.startswith("0"):
        return r"(?<!\d)" + _BETWEEN.join(digits) + r"(?!\d)"
    rest = _BETWEEN.join(digits[1:])
    return rf"(?<!\d)(?:0|\+?84{_BETWEEN}0?){_BETWEEN}{rest}(?!\d)"


def _word(word: str, loose: bool) -> str:
    return "".join(_char(char, loose) for char in word)


def _char(char: str, loose: bool) -> str:
    apart = unicodedata.normalize("NFD", char)
    either = {char, apart, char.lower(), char.upper()}
    if loose and char.isalpha():
        either |= _plain(apart[0])
        return f"(?:{'|'.join(map(re.escape, sorted(either)))}){_MARKS}"
    if len(either) == 1:
        return re.escape(char)
    return f"(?:{'|'.join(map(re.escape, sorted(either, key=len, reverse=True)))})"


def _plain(letter: str) -> set[str]:
    """A letter without marks, and all that is made of it with marks."""
    base = {"đ": "d", "Đ": "D"}.get(letter, letter)
    found = {base}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        one = chr(code)
        if unicodedata.normalize("NFD", one)[0] == base or (base in "dD" and one in "đĐ"):
            found.add(one)
    return found
