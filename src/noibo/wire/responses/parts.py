"""The parts that a message's content, or the output of a function, may have: checked, by role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from noibo.errors import InvalidRequest
from noibo.wire import ids
from noibo.wire.body import Json

PARTS: Final[Mapping[str, frozenset[str]]] = {
    "assistant": frozenset({"output_text", "refusal"}),
    "system": frozenset({"input_text", "input_file"}),
    "developer": frozenset({"input_text", "input_file"}),
    "user": frozenset({"input_text", "input_image", "input_file"}),
}
_FILE_DETAILS: Final = frozenset({"auto", "low", "high"})
_DETAILS: Final = _FILE_DETAILS | {"original"}


def text_part(text: str, *, is_answer: bool) -> Json:
    """A text alone, as the part it stands for."""
    if is_answer:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def read_part(where: str, part: Any, known: frozenset[str]) -> Json:
    """One part, of the types that are known there. Raises `InvalidRequest`."""
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
    only(where, part, "type text annotations logprobs prompt_cache_breakpoint")
    require_text(where, part, "text")
    if part["type"] == "output_text":
        part.setdefault("annotations", [])


def _check_refusal(where: str, part: Json) -> None:
    only(where, part, "type refusal")
    require_text(where, part, "refusal")


def _check_image(where: str, part: Json) -> None:
    only(where, part, "type image_url file_id detail prompt_cache_breakpoint")
    _one_of(where, part, ("image_url", "file_id"))
    part.setdefault("detail", "auto")
    _check_detail(where, part, _DETAILS)


def _check_file(where: str, part: Json) -> None:
    only(where, part, "type file_data file_id file_url filename detail prompt_cache_breakpoint")
    if "file_url" in part:
        raise InvalidRequest(
            f"{where}.file_url: nothing is fetched for a caller.",
            param=f"{where}.file_url",
            next_step="Send file_data, or upload it (POST /v1/files) and send file_id.",
        )
    _one_of(where, part, ("file_data", "file_id"))
    if "filename" in part:
        require_text(where, part, "filename")
    if "detail" in part:
        _check_detail(where, part, _FILE_DETAILS)


def _check_detail(where: str, part: Json, known: frozenset[str]) -> None:
    if not isinstance(part["detail"], str) or part["detail"] not in known:
        raise wrong(f"{where}.detail", f"must be one of {', '.join(sorted(known))}")


def only(where: str, item: Json, known: str) -> None:
    """Raise for a field that is none of these."""
    for name in item.keys() - set(known.split()):
        raise InvalidRequest(
            f"{where}.{name[:60]} is not known here.", param=f"{where}.{name[:60]}"
        )


def _one_of(where: str, part: Json, names: tuple[str, str]) -> None:
    given = [name for name in names if name in part]
    if len(given) != 1:
        raise wrong(where, f"needs one of {' and '.join(names)}")
    require_text(where, part, given[0])
    if given[0] == "file_id":
        ids.require_id(part["file_id"], f"{where}.file_id")


def require_text(where: str, item: Json, name: str) -> None:
    """Raise unless the field is a text."""
    if not isinstance(item.get(name), str):
        raise wrong(f"{where}.{name}", "must be a string")


def wrong(where: str, what: str) -> InvalidRequest:
    """What to raise for a place in a body."""
    return InvalidRequest(f"{where} {what}.", param=where)


_PART_CHECKS: Final[Mapping[str, Callable[[str, Json], None]]] = {
    "input_text": _check_text,
    "output_text": _check_text,
    "refusal": _check_refusal,
    "input_image": _check_image,
    "input_file": _check_file,
}
