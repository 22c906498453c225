"""OpenAI's batches: the request for one, the lines of its input, the lines of its output. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

import msgspec

from noibo.errors import InvalidRequest, NoiboError
from noibo.wire import ids
from noibo.wire.body import Fields, Json, field, read_fields
from noibo.wire.files import require_lifetime
from noibo.wire.metadata import read_metadata

ENDPOINTS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
)
WINDOW: Final = "24h"
WINDOW_S: Final = 86_400
MOST_LINES: Final = 50_000
MOST_ERRORS: Final = 100  # that are told
LONGEST_ID: Final = 512
LONGEST_LINE: Final = 64 * 2**20
ACTIVE: Final = ("validating", "in_progress", "finalizing", "cancelling")
_FIELDS: Final = frozenset(
    ["input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"]
)
_LINE_FIELDS: Final = frozenset({"custom_id", "method", "url", "body"})


class OutputExpires(msgspec.Struct, forbid_unknown_fields=True):
    """`output_expires_after`."""

    anchor: Literal["created_at"]
    seconds: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for a batch asks for."""

    input_file_id: str
    endpoint: str
    metadata: dict[str, str]
    output_lifetime_s: int | None


def read(fields: Fields) -> Asked:
    """Read a body. Raises `InvalidRequest`."""
    for name in fields.keys() - _FIELDS:
        raise InvalidRequest(f"{name[:60]} is not served.", param=name[:60])
    endpoint = field(fields, "endpoint", str)
    if endpoint not in ENDPOINTS:
        raise InvalidRequest(f"endpoint must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
    if field(fields, "completion_window", str) != WINDOW:
        raise InvalidRequest(f'completion_window must be "{WINDOW}".', param="completion_window")
    expires = field(fields, "output_expires_after", OutputExpires)
    lifetime = None
    if expires is not None:
        lifetime = require_lifetime(expires.seconds, "output_expires_after.seconds")
    return Asked(
        input_file_id=ids.require_id(field(fields, "input_file_id", Any), "input_file_id"),
        endpoint=endpoint,
        metadata=read_metadata(fields),
        output_lifetime_s=lifetime,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch; `number` is its line in the file, from 1."""

    number: int
    custom_id: str
    body: bytes

    def answered(self, status: int, body: bytes, request: str = "") -> bytes:
        """The line that tells its answer. `request`: the id by which it is known here."""
        said = body if is_json(body) else _NO_JSON
        response = {
            "status_code": status,
            "request_id": request or ids.new("req"),
            "body": msgspec.Raw(said),
        }
        return self._told(response, None)

    def unanswered(self, code: str, message: str) -> bytes:
        """The line that tells why there is no answer."""
        return self._told(None, {"code": code, "message": message})

    def _told(self, response: Json | None, error: Json | None) -> bytes:
        told = {
            "id": ids.new("batch_req"),
            "custom_id": self.custom_id,
            "response": response,
            "error": error,
        }
        return _one_line(msgspec.json.encode(told))


def is_json(body: bytes) -> bool:
    """True for one JSON document."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


_NO_JSON: Final = msgspec.json.encode({"error": {"message": "no JSON"}})
# What many readers end a line at; in JSON it can only stand in a string, as it is or escaped.
_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def _one_line(body: bytes) -> bytes:
    """A JSON document that no reader takes for more than one line."""
    if b"\n" in body or b"\r" in body:
        body = msgspec.json.format(body, indent=-1)
    for end, escaped in _ENDS:
        body = body.replace(end, escaped)
    return body


def rows(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file. Of one that is longer than a request may be only the beginning, one
    byte too long: it is never whole in memory."""
    while row := file.readline(LONGEST_LINE + 1):
        rest = row if len(row) > LONGEST_LINE else b"\n"
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield row


class _Named(msgspec.Struct):
    """Of a line only its name."""

    custom_id: str


def names(rows: Iterable[bytes]) -> Iterator[Line]:
    """The lines of an input file that was checked, without their bodies: quickly."""
    for number, row in enumerate(rows, 1):
        with contextlib.suppress(msgspec.DecodeError):  # of an empty one, or changed by hand
            yield Line(number, msgspec.json.decode(row, type=_Named).custom_id, b"")


def lines(rows: Iterable[bytes], endpoint: str) -> Iterator[Line]:
    """The requests of an input file that was checked."""
    for number, row in enumerate(rows, 1):
        if row.strip():
            yield _line(number, row, endpoint)


@dataclass(slots=True)
class Checked:
    """What was found of an input file: how many requests, of which model first, what is wrong."""

    total: int = 0
    model: str | None = None
    errors: list[Json] | None = None

    def add(self, error: Json) -> None:
        self.errors = [*(self.errors or []), error][:MOST_ERRORS]

    def lost(self, message: str) -> None:
        """There is no input to look at."""
        self.add(_error("file_not_found", message, None))


def check(rows: Iterable[bytes], endpoint: str) -> Checked:
    """Look at every line. Takes a while: not for the event loop."""
    found = Checked()
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        found.total += 1
        if found.total > MOST_LINES:
            text = f"The file has more than {MOST_LINES} requests."
            found.add(_error("too_many_requests", text, number))
            break
        try:
            line = _line(number, row, endpoint)
        except _Wrong as wrong:
            found.add(wrong.told)
            continue
        if line.custom_id in seen:
            text = f"The custom_id stands on line {seen[line.custom_id]} already."
            found.add(_error("duplicate_custom_id", text, number, "custom_id"))
        seen.setdefault(line.custom_id, number)
        found.model = found.model or _model(line)
    if not found.total:
        found.add(_error("empty_file", "The file has no request in it.", None))
    return found


class _Wrong(Exception):
    """A line that cannot be asked."""

    def __init__(self, told: Json) -> None:
        super().__init__(told["message"])
        self.told = told


def _line(number: int, row: bytes, endpoint: str) -> Line:
    if len(row) > LONGEST_LINE:
        text = f"A line has at most {LONGEST_LINE} bytes."
        raise _Wrong(_error("line_too_long", text, number))
    try:
        fields = read_fields(row)
    except NoiboError as exc:
        raise _Wrong(_error("invalid_json_line", exc.message, number)) from exc
    try:
        for name in _LINE_FIELDS - fields.keys():
            raise _Wrong(_error("missing_required_parameter", f"{name} is missing.", number, name))
        for name in fields.keys() - _LINE_FIELDS:
            raise _Wrong(_error("unknown_parameter", f"{name[:60]} is not known.", number, name))
        custom_id = field(fields, "custom_id", str, "")
        if not 1 <= len(custom_id) <= LONGEST_ID:
            text = f"custom_id has 1 to {LONGEST_ID} characters."
            raise _Wrong(_error("invalid_custom_id", text, number, "custom_id"))
        if field(fields, "method", str) != "POST":
            raise _Wrong(_error("invalid_method", "method must be POST.", number, "method"))
        if field(fields, "url", str) != endpoint:
            text = f"url must be the batch's endpoint, {endpoint}."
            raise _Wrong(_error("invalid_url", text, number, "url"))
        inner = field(fields, "body", dict[str, msgspec.Raw])
        for name in ("stream", "background"):
            if inner and field(inner, name, Any):
                text = f"body.{name}: a batch gives whole answers."
                raise _Wrong(_error("invalid_body", text, number, f"body.{name}"))
    except InvalidRequest as exc:
        raise _Wrong(_error("invalid_type", exc.message, number, exc.param)) from exc
    return Line(number, custom_id, bytes(fields["body"]))


def _model(line: Line) -> str | None:
    found = msgspec.json.decode(line.body)
    model = found.get("model") if isinstance(found, dict) else None
    return model if isinstance(model, str) else None


def _error(code: str, message: str, line: int | None, param: str | None = None) -> Json:
    return {"code": code, "message": message, "param": param, "line": line}
