"""The input of a response: a text, or a list of items, checked and put into one shape.

Items are kept in that shape, listed in it, and turned into a chat's messages by
`responses_messages`. Every item has an id; one that its writer did not name gets one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from noibo.errors import InvalidRequest
from noibo.wire import ids
from noibo.wire.body import Json
from noibo.wire.responses.budget import MOST_ITEMS

_ROLES: Final = ("user", "assistant", "system", "developer")
_STATES: Final = frozenset({"in_progress", "completed", "incomplete"})
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "assistant": frozenset({"output_text", "refusal"}),
    "system": frozenset({"input_text", "input_file"}),
    "developer": frozenset({"input_text", "input_file"}),
    "user": frozenset({"input_text", "input_image", "input_file"}),
}
_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
REFERENCE: Final = "item_reference"


def read_input(value: Any) -> list[Json]:
    """The items of `input`. Raises `InvalidRequest`, which names the place."""
    if value is None:
        return []
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise _wrong("input", "must be a text or a list of items")
    if len(value) > MOST_ITEMS:
        raise _wrong("input", f"has at most {MOST_ITEMS:,} items")
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
        raise _wrong(where, "must be an object")
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
        raise _wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    _only(where, item, "type id role content status phase")
    if item.get("phase") not in (None, "commentary", "final_answer"):
        raise _wrong(f"{where}.phase", "must be commentary or final_answer")
    content = item.get("content")
    if isinstance(content, str):
        content = [_text(content, is_answer=role == "assistant")]
    if not isinstance(content, list):
        raise _wrong(f"{where}.content", "must be a text or a list of parts")
    parts = [_part(f"{where}.content[{i}]", one, _PARTS[role]) for i, one in enumerate(content)]
    phase = {"phase": item["phase"]} if item.get("phase") else {}
    return _named(where, item, "msg", {"role": role, "content": parts, **phase})


def _text(text: str, *, is_answer: bool) -> Json:
    if is_answer:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _part(where: str, part: Any, known: frozenset[str]) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise InvalidRequest(
            f"{where}: parts of type {str(kind)[:60]!r} are not served here;"
            f" {', '.join(sorted(known))} are.",
            param=f"{where}.type",
        )
    said: Json = {name: value for name, value in part.items() if value is not None}
    _PART_CHECKS[kind](where, said)
    return said


def _check_text(where: str, part: Json) -> None:
    _only(where, part, "type text annotations logprobs prompt_cache_breakpoint")
    _string(where, part, "text")
    if part["type"] == "output_text":
        part.setdefault("annotations", [])


def _check_refusal(where: str, part: Json) -> None:
    _only(where, part, "type refusal")
    _string(where, part, "refusal")


def _check_image(where: str, part: Json) -> None:
    _only(where, part, "type image_url file_id detail prompt_cache_breakpoint")
    _one_of(where, part, ("image_url", "file_id"))
    detail = part.setdefault("detail", "auto")
    if not isinstance(detail, str) or detail not in _DETAILS:
        raise _wrong(f"{where}.detail", f"must be one of {', '.join(sorted(_DETAILS))}")


def _check_file(where: str, part: Json) -> None:
    _only(where, part, "type file_data file_id file_url filename detail prompt_cache_breakpoint")
    if "file_url" in part:
        raise InvalidRequest(
            f"{where}.file_url: nothing is fetched for a caller.",
            param=f"{where}.file_url",
            next_step="Send file_data, or upload it (POST /v1/files) and send file_id.",
        )
    _one_of(where, part, ("file_data", "file_id"))
    if "filename" in part:
        _string(where, part, "filename")


def _reasoning(where: str, item: Json) -> Json:
    _only(where, item, "type id summary content encrypted_content status")
    if not {"summary", "content", "encrypted_content"} & item.keys():
        raise _wrong(f"{where}.summary", "is missing")
    made: Json = {"summary": [], "content": []}
    for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        for i, part in enumerate(_list(where, item, name)):
            place = f"{where}.{name}[{i}]"
            if not isinstance(part, dict) or part.get("type") != kind:
                raise _wrong(f"{place}.type", f"must be {kind}")
            _string(place, part, "text")
            made[name].append({"type": kind, "text": part["text"]})
    if item.get("encrypted_content"):
        _string(where, item, "encrypted_content")
        made["encrypted_content"] = item["encrypted_content"]
    return _named(where, item, "rs", made)


def _function_call(where: str, item: Json) -> Json:
    _only(where, item, "type id call_id name arguments status caller namespace async")
    for name in ("call_id", "name", "arguments"):
        _string(where, item, name)
    _refuse(where, item, "namespace", "async")
    made = {name: item[name] for name in ("call_id", "name", "arguments")}
    return _named(where, item, "fc", made)


def _function_call_output(where: str, item: Json) -> Json:
    _only(where, item, "type id call_id output status caller name namespace")
    _string(where, item, "call_id")
    _refuse(where, item, "namespace")
    output = item.get("output")
    if isinstance(output, list):
        known = _PARTS["user"]
        output = [_part(f"{where}.output[{i}]", one, known) for i, one in enumerate(output)]
    elif not isinstance(output, str):
        raise _wrong(f"{where}.output", "must be a text or a list of parts")
    return _named(where, item, "fco", {"call_id": item["call_id"], "output": output})


def _reference(where: str, item: Json) -> Json:
    _only(where, item, "type id")
    return {"type": REFERENCE, "id": ids.require_id(item.get("id"), f"{where}.id")}


def _named(where: str, item: Json, kind: str, made: Json) -> Json:
    """The item with its type, its id and its status."""
    status = item.get("status") or "completed"
    if not isinstance(status, str) or status not in _STATES:
        raise _wrong(f"{where}.status", f"must be one of {', '.join(sorted(_STATES))}")
    given = item.get("id")
    name = ids.new(kind) if given is None else ids.require_id(given, f"{where}.id")
    return {"type": item.get("type") or "message", "id": name, "status": status, **made}


def _only(where: str, item: Json, known: str) -> None:
    for name in item.keys() - set(known.split()):
        raise InvalidRequest(
            f"{where}.{name[:60]} is not known here.", param=f"{where}.{name[:60]}"
        )


def _refuse(where: str, item: Json, *names: str) -> None:
    for name in names:
        if item.get(name):
            raise InvalidRequest(f"{where}.{name} is not served.", param=f"{where}.{name}")


def _one_of(where: str, part: Json, names: tuple[str, str]) -> None:
    given = [name for name in names if name in part]
    if len(given) != 1:
        raise _wrong(where, f"needs one of {' and '.join(names)}")
    _string(where, part, given[0])
    if given[0] == "file_id":
        ids.require_id(part["file_id"], f"{where}.file_id")


def _string(where: str, item: Json, name: str) -> None:
    if not isinstance(item.get(name), str):
        raise _wrong(f"{where}.{name}", "must be a string")


def _list(where: str, item: Json, name: str) -> list[Any]:
    found = item.get(name) or []
    if not isinstance(found, list):
        raise _wrong(f"{where}.{name}", "must be a list")
    return found


def _wrong(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where} {what}.", param=where)


_KINDS: Final[Mapping[str, Callable[[str, Json], Json]]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "reasoning": _reasoning,
    REFERENCE: _reference,
}
_PART_CHECKS: Final[Mapping[str, Callable[[str, Json], None]]] = {
    "input_text": _check_text,
    "output_text": _check_text,
    "refusal": _check_refusal,
    "input_image": _check_image,
    "input_file": _check_file,
}
