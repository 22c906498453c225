"""Bodies that no schema speaks of: every route that takes one, every kind of bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import requests

from tests.conformance.probing import IN_TIME_S, Probe
from tests.running import RunningServer

LARGEST = 2**20
SAY = [{"role": "user", "content": "Hi"}]
# Each route that reads a body itself, and a body that it takes.
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "echo", "messages": SAY},
    "/v1/completions": {"model": "echo", "prompt": "Hi"},
    "/v1/embeddings": {"model": "echo", "input": "Hi"},
    "/v1/responses": {"model": "echo", "input": "Hi"},
    "/v1/batches": {
        "input_file_id": "file-1",
        "endpoint": "/v1/completions",
        "completion_window": "24h",
    },
    "/v1/messages": {"model": "echo", "messages": SAY, "max_tokens": 9},
    "/v1/messages/count_tokens": {"model": "echo", "messages": SAY},
    "/api/chat": {"model": "echo", "messages": SAY},
    "/api/generate": {"model": "echo", "prompt": "Hi"},
    "/api/embed": {"model": "echo", "input": "Hi"},
    "/api/embeddings": {"model": "echo", "prompt": "Hi"},
    "/api/show": {"model": "echo"},
    "/api/create": {"model": "new", "from": "nothing"},
    "/api/delete": {"model": "nothing"},
    "/api/copy": {"source": "nothing", "destination": "other"},
    "/api/pull": {"model": "nothing"},
    "/api/push": {"model": "nothing"},
    "/completion": {"model": "echo", "prompt": "Hi"},
    "/infill": {"model": "echo", "input_prefix": "a", "input_suffix": "b"},
    "/tokenize": {"model": "echo", "content": "Hi"},
    "/detokenize": {"model": "echo", "tokens": [1]},
    "/apply-template": {"model": "echo", "messages": SAY},
    "/v1/rerank": {"model": "echo", "query": "a", "documents": ["b"]},
    "/noibo/v1/models/pull": {"model": "nothing"},
    "/noibo/v1/models/add": {"path": "/nowhere"},
}
VERBS = {"/api/delete": "DELETE"}  # of what is no POST
DEEP = b"[" * 5_000 + b"]" * 5_000
# What is no JSON object that can be read in one way only.
UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"model": "echo", "mess',
    "no JSON": b"model=echo&prompt=Hi",
    "a list": b"[]",
    "a text": b'"Hi"',
    "null": b"null",
    "a number": b"5",
    "no UTF-8": b'{"model": "echo", "prompt": "\xff\xfe"}',
    "UTF-16": '{"model": "echo"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model": 5}',
    "NaN": b'{"model": "echo", "temperature": NaN}',
    "infinity": b'{"model": "echo", "temperature": -Infinity}',
    "a key twice": b'{"model": "echo", "model": "other"}',
    "half a pair": b'{"model": "echo", "prompt": "\\ud800"}',
    "deep": b'{"model": "echo", "prompt": ' + DEEP + b"}",
    "deeper": b'{"model": ' * 20_000,
    "a zero byte": b'{"model": "ec\x00ho"}',
    "more after it": b'{"model": "echo"} {"model": "echo"}',
}
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    10**40,
    "",
    "x" * 10_000,
    [],
    {},
    [[]],
    {"": {}},
    [5],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("bodies") / "home"
    wanted = {"NOIBO_DEFAULT_MODEL": "echo", "NOIBO_OFFLINE": "true"}
    with RunningServer(home, NOIBO_SERVER_MAX_BODY_BYTES=str(LARGEST), **wanted) as running:
        running.load("echo")
        yield running


@pytest.fixture(scope="module")
def document(server: RunningServer) -> Any:
    return requests.get(server.url + "/noibo/v1/openapi.json", timeout=IN_TIME_S).json()


def takes(document: Any, path: str, body: dict[str, Any]) -> bool:
    """True if the document allows such a body."""
    operation = document["paths"][path][VERBS.get(path, "POST").lower()]
    said = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = {**said, "components": document["components"]}
    return bool(jsonschema_rs.validator_for(schema).is_valid(body))


def post(url: str, body: Any, kind: str = "application/json") -> requests.Response:
    headers = {"Content-Type": kind, "X-Noibo-Client": "1"} if kind else {"X-Noibo-Client": "1"}
    verb = VERBS.get(urlsplit(url).path, "POST")
    return requests.request(verb, url, data=body, headers=headers, timeout=IN_TIME_S)


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_that_cannot_be_read_is_refused(server: RunningServer, path: str) -> None:
    probe = Probe(server.url)
    for name, body in UNREADABLE.items():
        for kind in ("application/json", "text/plain", ""):
            status = probe.judge(
                f"{path}: {name}", lambda b=body, k=kind: post(server.url + path, b, k)
            )  # type: ignore[misc]
            if status != 501 and not 400 <= status < 500:
                probe.wrong.append(f"{path}: {name} as {kind}: {status}")
    probe.require_well()


@pytest.mark.parametrize("path", ROUTES)
def test_a_field_of_another_type_is_refused(
    server: RunningServer, document: Any, path: str
) -> None:
    probe, fields = Probe(server.url), ROUTES[path]
    assert takes(document, path, fields)
    names = [*fields, "stream", "temperature", "max_tokens", "tools", "stop", "keep_alive"]
    bodies = [fields | {name: wrong} for name in names for wrong in WRONG]
    bodies += [{key: value for key, value in fields.items() if key != name} for name in fields]
    for body in bodies:
        text = json.dumps(body)
        what = f"{path}: {text[:200]}"
        status = probe.judge(what, lambda b=text: post(server.url + path, b))  # type: ignore[misc]
        if status < 400 and not takes(document, path, body):
            probe.wrong.append(f"{status} {what}: the document does not allow it")
    probe.require_well()


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_over_the_limit_is_refused_however_it_comes(
    server: RunningServer, path: str
) -> None:
    probe = Probe(server.url)
    huge = json.dumps(ROUTES[path] | {"pad": "x" * LARGEST}).encode()
    whole = probe.judge(f"{path}: huge", lambda: post(server.url + path, huge))
    pieces = (huge[at : at + 2**16] for at in range(0, len(huge), 2**16))
    piecewise = probe.judge(f"{path}: huge, in chunks", lambda: post(server.url + path, pieces))
    assert {whole, piecewise} <= {413, 501}, path
    probe.require_well()


def test_a_body_in_chunks_is_a_body(server: RunningServer) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
        body = json.dumps(ROUTES[path] | {"stream": False}).encode()
        answer = post(server.url + path, (body[at : at + 7] for at in range(0, len(body), 7)))
        assert (answer.status_code, "Hi" in answer.text) == (200, True), answer.text
