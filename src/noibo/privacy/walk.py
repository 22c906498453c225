"""The walk through a body that finds, and can change, every text in it.

Two kinds of ground are told apart: the protocol's, where names of fields are the API's own, and
data (arguments and results of tools, schemas, metadata, whatever is unknown), where names and
numbers can be somebody's too. Which is which, `field_names` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.privacy import enclosed, field_key, json_text
from noibo.privacy import field_names as names
from noibo.privacy.field_key import Key
from noibo.wire import body

OWN: Final = "noibo"  # the field of a body that is for noibo alone
SHORT: Final = 200  # characters: a text so short may need the turn before to be understood
TAIL: Final = 64  # characters of that turn
_LEAST_NUMBER: Final = 10**6  # a shorter one says nothing of anybody


@dataclass(frozen=True, slots=True)
class Piece:
    """One text, and where it stands (`messages[0].content`). `context` is what stands before it and
    helps to understand it: the name of its field, or the end of the turn before. `bare`: its place
    takes no sign but letters, digits, - and _."""

    place: str
    text: str
    context: str = ""
    bare: bool = False


Change = Callable[[Piece], str]


class Walk:
    """One way through a body. What is given back is what came in, the same object, where nothing
    in it was changed."""

    def __init__(self, change: Change) -> None:
        self.unread: list[str] = []
        self._change = change
        self._tail = ""  # of the text before

    def body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields, decoded or not; those that change come back as the others are."""
        new = {}
        for name in sorted(fields, key=lambda name: (name in names.CONVERSATION, name)):
            self._tail = ""
            new[name] = fields[name] if name == OWN else self._field(name, fields[name])
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
        if value.get("type") == "redacted_thinking":
            return value  # a provider's own, which nobody else can read
        is_text = value.get("type") == "text"
        made: dict[str, Any] = {}
        for name, one in value.items():
            where = f"{place}.{Key(name).step}"
            if isinstance(one, str) and (name == "file_data" or (name == "data" and not is_text)):
                made[name] = self._enclosed(one, where)
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
        if type(value) is not int or abs(value) < _LEAST_NUMBER:
            return value
        text = str(value)
        new = self._shown(Piece(place, text, key.context))
        return value if new is text else new

    def _elsewhere(self, address: str, place: str) -> None:
        """What a model is to look at, and nobody has looked at here."""
        if not address.startswith("data:"):
            self.unread.append(place)

    def _text(self, value: str, key: str, place: str) -> str:
        if key in names.OPAQUE or (key in names.PLAIN and names.PLAIN_VALUE.fullmatch(value)):
            return value
        if key in names.FILES:
            return self._enclosed(value, place)
        is_word = not enclosed.looks_packed(value) and not json_text.is_json(value)
        if is_word and (key in names.BARE or key in names.PLAIN):
            return self._shown(Piece(place, value, bare=True))
        if key in {"arguments", "partial_json"} and not json_text.readable(value):
            self.unread.append(place)  # escapes could hide anything
        tail = self._tail if len(value) <= SHORT else ""
        self._tail = _tail(value)
        return self._said(value, tail, place)

    def _said(self, value: str, context: str, place: str) -> str:
        if json_text.is_json(value):
            return json_text.changed(value, self, place)
        if enclosed.looks_packed(value):
            return self._enclosed(value, place)
        return self._shown(Piece(place, value, context)) if value else value

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
