"""The walk through a body that finds, and can change, every text in it.

Two kinds of ground are told apart: the protocol's, where names of fields are the API's own, and
data (arguments and results of tools, schemas, metadata, whatever is unknown), where names and
numbers can be somebody's too. Which is which, `field_names` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.privacy import enclosed, field_key, json_text
from noibo.privacy import field_names as names
from noibo.privacy.field_key import Key
from noibo.wire import body

OWN: Final = "noibo"  # the field of a body that is for noibo alone
_OURS: Final = frozenset({OWN, "model"})  # which model is asked for there, noibo says
SHORT: Final = 200  # characters: a text so short may need the turn before to be understood
TAIL: Final = 64  # characters of that turn
_LEAST_NUMBER: Final = 10**6  # a shorter one says nothing of anybody


@dataclass(frozen=True, slots=True)
class Piece:
    """One text, and where it stands (`messages[0].content`). `context` is what stands before it and
    helps to understand it: the name of its field, or the end of the turn before. `bare`: its place
    takes no sign but letters, digits, - and _. `ends`: of the two texts before, since a number may
    be cut in two."""

    place: str
    text: str
    context: str = ""
    bare: bool = False
    ends: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """All that decides what is found in it, wherever it stands."""
        return (*self.ends, self.context, self.text)


Change = Callable[[Piece], str]


class Walk:
    """One way through a body. What is given back is what came in, the same object, where nothing
    in it was changed."""

    def __init__(self, change: Change) -> None:
        self.unread: list[str] = []
        self._change = change
        self._tail = ""  # of the text before
        self._ends: tuple[str, ...] = ()

    def body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields, decoded or not; those that change come back as the others are."""
        new = {}
        for name in sorted(fields, key=lambda name: (name in names.CONVERSATION, name)):
            self._tail, self._ends = "", ()
            new[name] = fields[name] if name in _OURS else self._field(name, fields[name])
        return {self.name(name, ""): new[name] for name in fields}

    def _field(self, name: str, value: Any) -> Any:
        place = Key(name).step
        if not isinstance(value, msgspec.Raw):
            return self._child(name, value, place)
        try:
            decoded = msgspec.json.decode(value)
        except body.UNREADABLE:
            self.unread.append(place)
            return value
        new = self._child(name, decoded, place)
        return value if new is decoded else body.raw(new)

    def protocol(self, value: Any, key: str, place: str) -> Any:
        """A value whose objects have the API's own names."""
        if isinstance(value, str):
            return self._text(value, key, place)
        if isinstance(value, list):
            if key in names.TOKENS and value and all(type(one) is int for one in value):
                self.unread.append(place)  # tokens: no finder reads those
                return value
            numbered = enumerate(value)
            return _list(value, [self._item(one, key, f"{place}[{i}]") for i, one in numbered])
        if isinstance(value, dict):
            return self._object(value, key, place)
        return value

    def data(self, value: Any, key: Key, place: str) -> Any:
        """A value of which nothing is the API's: names and numbers count as well."""
        if isinstance(value, str):
            return self._said(value, key.context, place)
        if isinstance(value, list):
            numbered = enumerate(value)
            return _list(value, [self.data(one, key, f"{place}[{i}]") for i, one in numbered])
        if isinstance(value, dict):
            return self._members(value, key.inside(), place)
        return self._number(value, key, place)

    def name(self, name: str, place: str) -> str:
        """The name of a field, which in data may be a person's."""
        is_one = field_key.NAME.fullmatch(name) or names.TOKEN.fullmatch(name)
        return name if is_one else self._shown(Piece(place, name))

    def _members(self, value: dict[str, Any], key: Key, place: str) -> dict[str, Any]:
        made = {}
        for name, one in value.items():
            key = key.beside(name)
            made[self.name(name, place)] = self.data(one, key, f"{place}.{key.step}")
            key = key.labelled(one)
        return _dict(value, made)

    def _item(self, value: Any, key: str, place: str) -> Any:
        if isinstance(value, dict):
            return self._object(value, key, place)
        return self.protocol(value, key, place)

    def _object(self, value: dict[str, Any], key: str, place: str) -> Any:
        is_text = value.get("type") == "text"
        data = "encrypted_content" if value.get("type") == "redacted_thinking" else ""
        made: dict[str, Any] = {}
        for name, one in value.items():
            where = f"{place}.{Key(name).step}"
            if isinstance(one, str) and (name == "file_data" or (name == "data" and not is_text)):
                made[name] = self._text(one, data, where) if data else self._enclosed(one, where)
                continue
            if isinstance(one, str) and (name in names.ELSEWHERE or _is_address(name, key)):
                self._elsewhere(one, where)
            made[self.name(name, place)] = self._child(name, one, where)
        return _dict(value, made)

    def _child(self, name: str, value: Any, place: str) -> Any:
        """A value by the name of the field that it stands in."""
        if isinstance(value, str):
            return self._text(value, name, place)
        if not isinstance(value, dict | list):
            is_known = names.NUMBERS.fullmatch(name)
            return value if is_known else self._number(value, Key(name), place)
        if name in names.DATA or (name in names.DATA_IF_AN_OBJECT and isinstance(value, dict)):
            return self.data(value, Key(), place)
        known = name in names.PROTOCOL or (isinstance(value, list) and name in names.LISTS)
        return self.protocol(value, name, place) if known else self.data(value, Key(name), place)

    def _number(self, value: Any, key: Key, place: str) -> Any:
        """A number of many digits, which is a text where it was changed."""
        whole = int(value) if type(value) is float and value.is_integer() else value
        if type(whole) is not int or abs(whole) < _LEAST_NUMBER:
            return value
        text = str(abs(whole))
        new = self._shown(Piece(place, text, key.context))
        return value if new is text else new if whole > 0 else f"-{new}"

    def _elsewhere(self, address: str, place: str) -> None:
        """What a model is to look at, and nobody has looked at here."""
        if not address.startswith("data:"):
            self.unread.append(place)

    def _text(self, value: str, key: str, place: str) -> str:
        if key in names.PLAIN and (names.WORD.fullmatch(value) or _is_sealed(value, key)):
            return value
        if key in names.FILES:
            return self._enclosed(value, place)
        is_plain = not enclosed.looks_packed(value) and not json_text.is_json(value)
        if is_plain and key in names.BARE | names.PLAIN:
            return self._runs(self._shown(Piece(place, value, bare=True)), place)
        if key in {"arguments", "partial_json"} and not json_text.readable(value):
            self.unread.append(place)  # escapes could hide anything
        if not value:
            return value
        tail = self._tail if len(value) <= SHORT else ""
        ends, self._ends = self._ends, (value[-TAIL:], *self._ends[:1])
        self._tail = _tail(value)
        return self._said(value, tail, place, ends)

    def _said(self, value: str, context: str, place: str, ends: tuple[str, ...] = ()) -> str:
        if json_text.is_json(value):
            return json_text.changed(value, self, place)
        if enclosed.looks_packed(value):
            return self._enclosed(value, place)
        piece = Piece(place, value, context, ends=ends)
        return self._runs(self._shown(piece), place) if value else value

    def _runs(self, value: str, place: str) -> str:
        """What is packed in a sentence. A word of which no text comes is a word; an address that
        cannot be read is a file like any."""

        def opened(match: re.Match[str]) -> str:
            if enclosed.is_address(match[0]):
                return self._enclosed(match[0], place)
            if (found := enclosed.opened_run(match[0])) is None:
                return match[0]
            new = self._said(found.text, "", place)
            return match[0] if new == found.text else found.closed(new)

        new = enclosed.RUN.sub(opened, value)
        return value if new == value else new  # the same object

    def _enclosed(self, value: str, place: str) -> str:
        """A file inside a text."""
        opened = enclosed.opened(value)
        if opened is None:
            self.unread.append(place)
            return value
        new = self._said(opened.text, "", place)
        return value if new == opened.text else opened.closed(new)

    def _shown(self, piece: Piece) -> str:
        new = self._change(piece)
        return piece.text if new == piece.text else new  # the same object


def _is_sealed(value: str, key: str) -> bool:
    """What a provider alone can read, and is nothing else: it is long, and no text comes of it."""
    if key not in names.OPAQUE:
        return False
    packed = enclosed.looks_packed(value) and not enclosed.is_address(value)
    return packed and enclosed.opened(value) is None


def _is_address(name: str, holder: str) -> bool:
    """A citation has an address too, and nobody is sent there."""
    return name == "url" and holder in names.WITH_ADDRESS


def _tail(text: str) -> str:
    """The end of a text, from where a word begins."""
    end = text[-TAIL:]
    if len(text) > TAIL:
        end = end.partition(" ")[2] or end
    return f"{end.strip()}\n" if end.strip() else ""


def _list(old: list[Any], new: list[Any]) -> list[Any]:
    return new if any(a is not b for a, b in zip(old, new, strict=True)) else old


def _dict(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    same = len(old) == len(new) and _same(old.items(), new.items())
    return old if same else new


def _same(old: Iterable[tuple[str, Any]], new: Iterable[tuple[str, Any]]) -> bool:
    return all(a == b and one is other for (a, one), (b, other) in zip(old, new, strict=True))
