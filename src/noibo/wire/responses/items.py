"""The input of a response: a text, or a list of items, checked and put into one shape.

Items are kept in that shape, listed in it, and turned into a chat's messages by
`messages`. Every item has an id; one that its writer did not name gets one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire import ids
from noibo.wire.body import UNREADABLE, Json
from noibo.wire.responses.budget import MOST_ITEMS
from noibo.wire.responses.parts import PARTS, only, read_part, require_text, text_part, wrong

_ROLES: Final = ("user", "assistant", "system", "developer")
_STATES: Final = frozenset({"in_progress", "completed", "incomplete"})
REFERENCE: Final = "item_reference"


def read_input(value: Any) -> list[Json]:
    """The items of `input`. Raises `InvalidRequest`, which names the place."""
    if value is None:
        return []
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise wrong("input", "must be a text or a list of items")
    if len(value) > MOST_ITEMS:
        raise wrong("input", f"has at most {MOST_ITEMS:,} items")
    items = [_item(f"input[{i}]", one) for i, one in enumerate(value)]
    _require_once(items)
    return items


def references(items: Iterable[Json]) -> list[str]:
    """The ids of items that stand elsewhere."""
    return [one["id"] for one in items if one["type"] == REFERENCE]


def file_ids(items: Iterable[Json]) -> Iterator[str]:
    """The ids of uploaded files that items speak of."""
    for item in items:
        content = item.get("content") if item["type"] == "message" else item.get("output")
        for part in content if isinstance(content, list) else ():
            if part.get("file_id"):
                yield part["file_id"]


def _require_once(items: Iterable[Json]) -> None:
    """Which of two items with one id would a reference to it mean?"""
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        first = places.setdefault(item["id"], place)
        if first != place:
            where = f"input[{place}].id"
            raise InvalidRequest(
                f"{where}: the item {item['id']!r} stands at input[{first}] too.",
                param=where,
                next_step="Send every item once.",
            )


def _item(where: str, item: Any) -> Json:
    if not isinstance(item, dict):
        raise wrong(where, "must be an object")
    kind = item.get("type") or ("message" if "role" in item else REFERENCE)
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise InvalidRequest(
            f"{where}: items of type {str(kind)[:60]!r} are not served; {', '.join(_KINDS)} are.",
            param=f"{where}.type",
        )
    return read(where, item)


def _message(where: str, item: Json) -> Json:
    role = item.get("role")
    if role not in _ROLES:
        raise wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    only(where, item, "type id role content status phase")
    if item.get("phase") not in (None, "commentary", "final_answer"):
        raise wrong(f"{where}.phase", "must be commentary or final_answer")
    content = item.get("content")
    if isinstance(content, str):
        content = [text_part(content, is_answer=role == "assistant")]
    if not isinstance(content, list):
        raise wrong(f"{where}.content", "must be a text or a list of parts")
    parts = [read_part(f"{where}.content[{i}]", one, PARTS[role]) for i, one in enumerate(content)]
    phase = {"phase": item["phase"]} if item.get("phase") else {}
    return _named(where, item, "msg", {"role": role, "content": parts, **phase})


def _reasoning(where: str, item: Json) -> Json:
    only(where, item, "type id summary content encrypted_content status")
    if not {"summary", "content", "encrypted_content"} & item.keys():
        raise wrong(f"{where}.summary", "is missing")
    made: Json = {"summary": [], "content": []}
    for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        for i, part in enumerate(_list(where, item, name)):
            place = f"{where}.{name}[{i}]"
            if not isinstance(part, dict) or part.get("type") != kind:
                raise wrong(f"{place}.type", f"must be {kind}")
            require_text(place, part, "text")
            made[name].append({"type": kind, "text": part["text"]})
    if item.get("encrypted_content"):
        require_text(where, item, "encrypted_content")
        made["encrypted_content"] = item["encrypted_content"]
    return _named(where, item, "rs", made)


def _function_call(where: str, item: Json) -> Json:
    only(where, item, "type id call_id name arguments status caller namespace async")
    for name in ("call_id", "name", "arguments"):
        require_text(where, item, name)
    _refuse(where, item, "namespace", "async")
    try:
        msgspec.json.decode(item["arguments"] or "{}")
    except UNREADABLE:
        raise wrong(f"{where}.arguments", "is no JSON: templates write it out anew") from None
    made = {name: item[name] for name in ("call_id", "name", "arguments")}
    return _named(where, item, "fc", made)


def _function_call_output(where: str, item: Json) -> Json:
    only(where, item, "type id call_id output status caller name namespace")
    require_text(where, item, "call_id")
    _refuse(where, item, "namespace")
    output = item.get("output")
    if isinstance(output, list):
        known = PARTS["user"]
        output = [read_part(f"{where}.output[{i}]", one, known) for i, one in enumerate(output)]
    elif not isinstance(output, str):
        raise wrong(f"{where}.output", "must be a text or a list of parts")
    return _named(where, item, "fco", {"call_id": item["call_id"], "output": output})


def _reference(where: str, item: Json) -> Json:
    only(where, item, "type id")
    return {"type": REFERENCE, "id": ids.require_id(item.get("id"), f"{where}.id")}


def _named(where: str, item: Json, kind: str, made: Json) -> Json:
    """The item with its type, its id and its status."""
    status = item.get("status") or "completed"
    if not isinstance(status, str) or status not in _STATES:
        raise wrong(f"{where}.status", f"must be one of {', '.join(sorted(_STATES))}")
    given = item.get("id")
    name = ids.new(kind) if given is None else ids.require_id(given, f"{where}.id")
    return {"type": item.get("type") or "message", "id": name, "status": status, **made}


def _refuse(where: str, item: Json, *names: str) -> None:
    for name in names:
        if item.get(name):
            raise InvalidRequest(f"{where}.{name} is not served.", param=f"{where}.{name}")


def _list(where: str, item: Json, name: str) -> list[Any]:
    found = item.get(name) or []
    if not isinstance(found, list):
        raise wrong(f"{where}.{name}", "must be a list")
    return found


_KINDS: Final[Mapping[str, Callable[[str, Json], Json]]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "reasoning": _reasoning,
    REFERENCE: _reference,
}
