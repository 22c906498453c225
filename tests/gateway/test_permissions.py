"""Which permission each route needs, decided on purpose; from elsewhere nothing without a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.access.grant import Permission
from noibo.gateway.access.permissions import needed
from noibo.gateway.openai.routes import NOT_SERVED
from tests.gateway.admitting import METHODS, Door, concrete, raw, routes

PUBLIC = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/v1/health"),
    ("POST", "/noibo/v1/session"),
}
# Whoever adds a route decides here, or in the table, who may call it.
FOR_ADMINS = {
    ("GET", "/noibo/v1/keys"),
    ("POST", "/noibo/v1/keys"),
    ("DELETE", "/noibo/v1/keys/{key}"),
    ("GET", "/noibo/v1/users"),
    ("POST", "/noibo/v1/users"),
    ("PATCH", "/noibo/v1/users/{name}"),
    ("DELETE", "/noibo/v1/users/{name}"),
    ("POST", "/noibo/v1/models/add"),
    ("POST", "/noibo/v1/models/import"),
    ("POST", "/noibo/v1/shutdown"),
    # llama-server's that are refused here
    ("GET", "/cors-proxy"),
    ("POST", "/cors-proxy"),
    ("GET", "/tools"),
    ("POST", "/tools"),
    ("GET", "/v1/streams"),
    ("POST", "/v1/streams/lookup"),
    ("GET", "/v1/stream/{conversation}"),
    # kept by OpenAI and Anthropic, and not here
    ("GET", "/v1/chat/completions"),
    *((method, "/v1/chat/completions/{rest:path}") for method in METHODS if method != "OPTIONS"),
    *((method, "/v1/messages/batches") for method in ("GET", "HEAD", "POST", "DELETE")),
    *((method, "/v1/messages/batches/{rest:path}") for method in ("GET", "HEAD", "POST", "DELETE")),
}


def is_not_served(path: str) -> bool:
    return any(path.startswith("/v1" + beginning) for beginning in NOT_SERVED)


def is_admins(method: str, path: str) -> bool:
    if ("GET" if method == "HEAD" else method, path) in FOR_ADMINS:
        return True
    return is_not_served(path)  # until it is: refused, to whoever may see all


@pytest.mark.parametrize(("method", "path"), routes())
def test_who_may_call_a_route_was_decided(method: str, path: str) -> None:
    found = needed(method, concrete(path))
    if ("GET" if method == "HEAD" else method, path) in PUBLIC:
        assert found is None
    else:
        assert found is not None
        if not is_not_served(path):
            assert (found is Permission.ADMIN) == is_admins(method, path)


def test_what_is_listed_is_there() -> None:
    there = set(routes())
    assert there >= PUBLIC
    assert {one for one in FOR_ADMINS if one[0] != "HEAD"} <= there


def test_names_of_models_have_slashes() -> None:
    for method, path in routes():
        if re.search(r"\{(name|model):path\}", path):
            whole = concrete(path, "hf.co/org/repo:q4_0")
            assert needed(method, whole) is needed(method, concrete(path)), path
            assert needed(method, whole) is not Permission.ADMIN, path


@given(st.sampled_from(METHODS), st.text(max_size=400))
def test_what_is_not_known_is_for_admins(method: str, path: str) -> None:
    found = needed(method, "/noibo/v1/unknown/" + path)
    assert found is Permission.ADMIN
    assert needed(method, "//health" + path) is Permission.ADMIN
    assert needed(method.lower(), "/health") is Permission.ADMIN


@given(st.text(min_size=1, max_size=6))
def test_public_is_nothing_but_what_is_listed(more: str) -> None:
    for method, path in PUBLIC:
        assert needed(method, path + more) is not None
        assert needed("DELETE", path) is not None


# ── over HTTP ───────────────────────────────────────────────────────────────


def test_from_elsewhere_nothing_is_answered_without_a_key(door: Door) -> None:
    """Every path with every method, known to the router or not."""
    paths = [*sorted({path for _, path in routes()}), "/no/such/path", "/v1/", "/noibo/v1/keys/"]
    asked = 0
    with door.client() as nobody:
        for path in map(concrete, paths):
            for method in METHODS:
                answer = nobody.request(method, path)
                asked += 1
                if ("GET" if method == "HEAD" else method, path) in PUBLIC:
                    assert answer.status_code in {200, 400, 405}, (method, path, answer.text)
                else:
                    assert answer.status_code == 401, (method, path, answer.text)
    print(f"{asked} requests of nobody")


def test_a_refusal_waits_for_no_body(door: Door) -> None:
    host = door.far.removeprefix("http://")
    for method, path in (("POST", "/v1/chat/completions"), ("POST", "/v1/files"), ("PUT", "/x")):
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000000\r\n\r\n"
        assert raw(door.far, head.encode())[0] == 401


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", lambda said: said["error"]["code"] == "invalid_api_key"),
        ("/v1/messages", lambda said: said["error"]["type"] == "authentication_error"),
        ("/api/chat", lambda said: "wants a key" in said["error"]),
        ("/completion", lambda said: said["error"]["type"] == "authentication_error"),
        ("/noibo/v1/keys", lambda said: said["error"]["code"] == "invalid_api_key"),
    ],
)
def test_a_refusal_has_the_shape_of_the_api(door: Door, path: str, shape: Any) -> None:
    with door.client() as nobody:
        answer = nobody.post(path, json={})
    assert answer.status_code == 401
    assert shape(answer.json()), answer.text


# What stands for each permission; none of them changes anything, or asks a model.
OF: dict[Permission, list[tuple[str, str]]] = {
    Permission.ASK: [("POST", "/v1/chat/completions"), ("POST", "/api/embed"), ("POST", "/infill")],
    Permission.KEEP: [("GET", "/v1/files"), ("GET", "/v1/batches"), ("POST", "/v1/responses")],
    Permission.LOOK: [("GET", "/v1/models"), ("GET", "/api/tags"), ("GET", "/noibo/v1/status")],
    Permission.MANAGE: [
        ("GET", "/noibo/v1/queue"),
        ("GET", "/metrics"),
        ("POST", "/noibo/v1/workers/hf.co/none/none:x/load"),
        ("POST", "/api/pull"),
    ],
    Permission.ADMIN: [
        ("GET", "/noibo/v1/keys"),
        ("POST", "/noibo/v1/users"),
        ("POST", "/noibo/v1/models/add"),
        ("DELETE", "/noibo/v1/users/nobody"),
        ("GET", "/no/such/path"),
    ],
}
MAY = {
    "user": {Permission.ASK, Permission.KEEP, Permission.LOOK},
    "developer": set(Permission) - {Permission.ADMIN},
    "admin": set(Permission),
}


@pytest.fixture(scope="module")
def keys(door: Door) -> dict[str, str]:
    return {role: door.key(role) for role in MAY}


def refused(client: httpx2.Client, method: str, path: str) -> bool:
    answer = client.request(method, path, json=None if method == "GET" else [])
    assert answer.status_code < 500, answer.text
    if answer.status_code == 403:
        assert "permission" in answer.text
    return answer.status_code == 403


@pytest.mark.parametrize("role", MAY)
def test_what_each_role_may(door: Door, keys: dict[str, str], role: str) -> None:
    with door.client(keys[role]) as client:
        for permission, examples in OF.items():
            for method, path in examples:
                assert refused(client, method, path) == (permission not in MAY[role]), path


@pytest.mark.parametrize("role", MAY)
def test_a_session_may_what_the_role_may(door: Door, role: str) -> None:
    with door.signed_in(door.user(role)) as page:
        for permission, examples in OF.items():
            for method, path in examples:
                assert refused(page, method, path) == (permission not in MAY[role]), path


@pytest.fixture(params=["ask", "/v1/embeddings,/api/*", "look,keep", "/metrics"])
def scope(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_a_key_for_some_routes_reaches_no_other(door: Door, scope: str) -> None:
    open_to = {
        "ask": {"/v1/chat/completions", "/api/embed", "/infill"},
        "/v1/embeddings,/api/*": {"/api/embed", "/api/tags", "/api/pull"},
        "look,keep": {path for one in (Permission.LOOK, Permission.KEEP) for _, path in OF[one]},
        "/metrics": {"/metrics"},
    }[scope]
    with door.client(door.key("developer", routes=(scope,))) as client:
        for examples in OF.values():
            for method, path in examples:
                assert refused(client, method, path) == (path not in open_to), path


def test_a_key_for_a_path_is_for_its_other_name_too(door: Door) -> None:
    with door.client(door.key(routes=("/chat/completions",))) as client:
        said = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
        assert client.post("/chat/completions", json=said).status_code == 200
        assert client.post("/v1/chat/completions", json=said).status_code == 403


def test_a_user_sees_a_model_whose_name_has_slashes(door: Door, keys: dict[str, str]) -> None:
    with door.client(keys["user"]) as client:
        for path in ("/v1/models/", "/noibo/v1/models/"):
            assert client.get(path + "hf.co/org/repo:q4_0").status_code == 404
