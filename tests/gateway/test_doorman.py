"""Who is let in: judged for each request by how it came, and by the key it carries."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from noibo import Client
from noibo.access import api_key
from noibo.errors import RequestFailed
from noibo.gateway.access.arrival import Arrival
from noibo.gateway.app import create_app
from noibo.serving import open_services
from noibo.settings import load
from tests.gateway.admitting import Door, first_key, id_of, own_address, raw
from tests.running import RunningServer, run_noibo, until

HERE = ("127.0.0.1", 1)
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}


def scope(
    client: tuple[str, int] | None = HERE,
    server: tuple[str, int] | None = HERE,
    version: str = "1.1",
    method: str = "GET",
    path: str = "/v1/models",
    **headers: str,
) -> Scope:
    said = {"host": "127.0.0.1:11500"} | headers
    return {
        "type": "http",
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "client": client,
        "server": server,
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in said.items()
        ],
    }


# ── how a request came ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "came",
    [
        {},
        {"client": ("::1", 1), "server": ("::1", 1)},
        {"client": ("::ffff:127.0.0.1", 1), "server": ("::ffff:127.0.0.1", 1)},
        {"client": ("127.8.8.8", 1), "server": ("127.0.1.1", 1)},
        {"host": "localhost:3000"},
        {"host": "LOCALHOST"},
        {"host": "[::1]:11500"},
        {"host": "host.docker.internal:11500"},
        {"host": ""},
        {"version": "1.1"},
    ],
)
def test_what_is_here(came: dict[str, Any]) -> None:
    assert not Arrival.of(scope(**came)).remote


@pytest.mark.parametrize(
    "came",
    [
        {"client": ("192.0.2.7", 1)},
        {"server": ("192.0.2.2", 1)},
        {"client": ("::ffff:192.0.2.7", 1)},
        {"client": ("fe80::1%eth0", 1)},
        {"client": ("testclient", 1)},
        {"client": None},
        {"server": None},
        {"server": ("/run/noibo.sock", 1)},
        {"version": "1.0"},
        {"host": "ai.example"},
        {"host": "192.0.2.2"},
        {"host": "0.0.0.0"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "["},
        {"host": "localhost." + "a" * 400},
        *(
            {name: "1.2.3.4"}
            for name in (
                *("forwarded", "x_forwarded_for", "x_forwarded_host", "x_forwarded_proto"),
                *("x_forwarded_server", "x_forwarded", "x_real_ip", "x_client_ip", "via"),
                *("true_client_ip", "cf_connecting_ip", "fly_client_ip"),
                "x_envoy_external_address",
            )
        ),
    ],
)
def test_what_came_from_elsewhere(came: dict[str, Any]) -> None:
    assert Arrival.of(scope(**came)).remote


async def answered(asked: Scope) -> int:
    """The status that the application gives, without a server before it."""
    found = [0]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        found[0] = message.get("status", found[0])

    async with open_services(load(), lambda: None, "the token of this home") as services:
        app = create_app(lambda: open_services(load(), lambda: None))
        app.state.services = services
        await app(asked, receive, send)
    return found[0]


@pytest.mark.anyio
async def test_a_request_over_a_socket_of_the_file_system_needs_a_key(home: Path) -> None:
    assert await answered(scope(client=None, server=None)) == 401
    assert await answered(scope(client=None, server=None, path="/health")) == 200
    assert await answered(scope()) == 200
    token = {"authorization": "Bearer the token of this home"}
    assert await answered(scope(client=None, server=None, **token)) == 401


# ── over real sockets ───────────────────────────────────────────────────────


def head(path: str, version: str = "1.1", **headers: str) -> bytes:
    said = {"Host": "127.0.0.1"} | {name.replace("_", "-"): v for name, v in headers.items()}
    lines = [f"GET {path} HTTP/{version}", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def test_the_address_decides(door: Door) -> None:
    with door.client() as far, door.client(near=True) as near:
        assert far.get("/v1/models").status_code == 401
        assert near.get("/v1/models").status_code == 200
        assert far.get("/health").status_code == 200


def test_what_a_proxy_passes_on_needs_a_key(door: Door) -> None:
    assert raw(door.near, head("/v1/models"))[0] == 200
    assert raw(door.near, head("/v1/models", "1.0"))[0] == 401
    assert raw(door.near, head("/v1/models", X_Forwarded_For="127.0.0.1"))[0] == 401
    assert raw(door.near, head("/v1/models", Via="1.1 here"))[0] == 401
    assert raw(door.near, head("/v1/models", Host="ai.example"))[0] == 401
    bearer = f"Bearer {door.admin}"
    for way in ({"Via": "1.1 here"}, {"Host": "ai.example"}, {"version": "1.0"}):
        assert raw(door.near, head("/v1/models", Authorization=bearer, **way))[0] == 200


@pytest.mark.heavy
def test_over_ipv6_and_what_is_mapped_to_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first_key(home)
    with RunningServer(home, "--host", "::") as server:
        port = server.url.rpartition(":")[2]
        assert server.url == f"http://[::1]:{port}"
        assert httpx2.get(server.url + "/v1/models").status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200  # ::ffff:…
        assert httpx2.get(f"http://{own_address()}:{port}/v1/models").status_code == 401


@pytest.mark.parametrize("key", ["sk-of-another-service", "ollama", "none", "x" * 10_000])
def test_another_services_key_is_ignored_here_and_none_elsewhere(door: Door, key: str) -> None:
    for said in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
        with door.client(near=True, **said) as near, door.client(**said) as far:
            assert near.get("/v1/models").status_code == 200
            answer = far.get("/v1/models")
            assert answer.status_code == 401
            assert "no key of this server" in answer.text
            assert key not in answer.text


def test_a_key_of_ours_counts_here_too(door: Door) -> None:
    made = door.key(models=("mean*",))
    wrong = ["noibo_", "noibo_x", made[:-1], made + "0", api_key.mint().text]
    for key in wrong:
        with door.client(key, near=True) as near, door.client(key) as far:
            assert near.get("/v1/models").status_code == 401
            assert far.get("/v1/models").status_code == 401
    for near in (True, False):
        with door.client(made, near=near) as client:
            assert client.post("/v1/chat/completions", json=CHAT).status_code == 403
            assert client.get("/noibo/v1/queue").status_code == 403


def test_a_key_of_ours_counts_in_either_header(door: Door) -> None:
    ours = door.key(models=("mean*",))
    for said in (
        {"X-Api-Key": ours},
        {"X-Api-Key": ours, "Authorization": "Bearer sk-of-another-service"},
        {"Authorization": f"bearer   {ours}"},
        {"Authorization": f"Bearer {ours}", "X-Api-Key": "sk-of-another-service"},
        {"X-Api-Key": ours, "Authorization": "Basic YTpi"},
    ):
        for near in (True, False):
            with door.client(near=near, **said) as client:
                assert client.get("/v1/models").status_code == 200
                assert client.post("/v1/chat/completions", json=CHAT).status_code == 403


def test_the_official_client_of_openai_from_elsewhere(door: Door) -> None:
    client = openai.OpenAI(base_url=door.far + "/v1", api_key=door.key(), max_retries=0)
    said = client.completions.create(model="fills", prompt="a b", max_tokens=2)
    assert said.usage is not None
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-x").models.list()


@given(
    st.sampled_from(["Authorization", "X-Api-Key", "Cookie", "Origin", "X-Noibo-CSRF", "Host"]),
    st.sampled_from(
        ["", "Bearer ", "noibo_", "Bearer noibo_", "noibo_session=", "noibo_session", "a=b; "]
    ),
    st.binary(max_size=60),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_in_a_header_is_a_500(door: Door, name: str, begins: str, rest: bytes) -> None:
    value = begins.encode() + bytes(set(range(256)) - {0, 10, 13}) * (len(rest) == 60) + rest
    clean = value.translate(None, delete=b"\0\r\n")
    host = b"" if name == "Host" else b"Host: 127.0.0.1\r\n"
    for method in (b"GET /v1/models", b"POST /v1/messages", b"POST /noibo/v1/session"):
        said = method + b" HTTP/1.1\r\n" + host + name.encode() + b": " + clean
        status, answer = raw(door.near, said + b"\r\nConnection: close\r\n\r\n")
        assert 200 <= status < 500, answer


def test_long_keys_are_refused_and_no_error(door: Door) -> None:
    for said in ("noibo_" + "a" * 10_000, "noibo_" + "é" * 5_000):
        value = b"Authorization: Bearer " + said.encode()
        whole = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + value + b"\r\n\r\n"
        assert raw(door.near, whole)[0] == 401


# ── a server that wants a key of everybody ──────────────────────────────────


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = tmp_path_factory.mktemp("strict") / "home"
    admin = first_key(home)
    with RunningServer(home, "--host", "0.0.0.0", NOIBO_SERVER_REQUIRE_KEY="true") as server:
        yield Door(server, admin)


def state(door: Door) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((door.server.home / "server.json").read_text())
    return found


def test_programs_here_need_a_key_too(strict: Door) -> None:
    with strict.client(near=True) as nobody, strict.client(strict.admin, near=True) as somebody:
        assert nobody.get("/v1/models").status_code == 401
        assert nobody.post("/v1/chat/completions", json=CHAT).status_code == 401
        assert nobody.get("/health").status_code == 200
        assert somebody.get("/v1/models").status_code == 200
    with Client(strict.near) as client, pytest.raises(RequestFailed, match="wants a key"):
        client.workers()  # of another home: it has no token of this one


def test_the_commands_still_work(strict: Door) -> None:
    home = strict.server.home
    assert run_noibo("ps", home=home).returncode == 0
    assert "first" in run_noibo("key", "list", home=home).stdout
    said = run_noibo("run", "echo", "one two", home=home)
    assert (said.returncode, said.stdout.strip()) == (0, "one two"), said.stderr
    made = run_noibo("key", "create", "more", "--json", home=home)
    assert json.loads(made.stdout)["row"]["name"] == "more"


def test_the_token_of_the_commands_is_for_who_runs_the_server_and_only_here(strict: Door) -> None:
    file = strict.server.home / "server.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = state(strict)["token"]
    assert len(token) >= 64
    with strict.client(token, near=True) as near, strict.client(token) as far:
        assert near.get("/noibo/v1/keys").status_code == 200
        assert far.get("/noibo/v1/keys").status_code == 401
    bearer = f"Bearer {token}"
    assert raw(strict.near, head("/noibo/v1/keys", Authorization=bearer))[0] == 200
    assert raw(strict.near, head("/noibo/v1/keys", "1.0", Authorization=bearer))[0] == 401
    forwarded = head("/noibo/v1/keys", Authorization=bearer, X_Forwarded_For="127.0.0.1")
    assert raw(strict.near, forwarded)[0] == 401
    assert token not in strict.server.log.read_text()


# ── starting ────────────────────────────────────────────────────────────────


def refuses(home: Path, *arguments: str) -> str:
    """Its words, if it does not start."""
    found = run_noibo("serve", "--port", "0", *arguments, home=home, timeout=30)
    assert found.returncode == 2, (found.returncode, found.stdout, found.stderr)
    return found.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_for_others_does_not_start_without_a_key(home: Path, host: str) -> None:
    said = refuses(home, "--host", host)
    assert "before somebody has a key" in said
    assert "noibo key create" in said
    assert not (home / "noibo.db").exists()  # asking made no database


@pytest.mark.heavy
def test_nor_with_keys_that_hold_no_more(home: Path) -> None:
    run_noibo("key", "create", "short", "--expires", "1s", home=home)
    until(lambda: "expired" in run_noibo("key", "list", home=home).stdout, "it has expired")
    assert "before somebody has a key" in refuses(home, "--host", "0.0.0.0")
    first_key(home)
    with RunningServer(home, "--host", "0.0.0.0"):
        pass
    assert run_noibo("key", "revoke", "first", home=home).returncode == 0
    assert "before somebody has a key" in refuses(home, "--host", "0.0.0.0")


@pytest.mark.heavy
def test_a_user_is_somebody_too(home: Path) -> None:
    made = run_noibo("user", "add", "an", home=home, stdin="một mật khẩu dài\n")
    assert made.returncode == 0, made.stderr
    with RunningServer(home, "--host", own_address()) as server:
        assert own_address() in server.url
        assert httpx2.get(server.url + "/v1/models").status_code == 401


def test_revoked_is_revoked_with_the_next_request(door: Door) -> None:
    key = door.key()
    with door.client(key) as client, door.client(door.admin) as admin:
        for _ in range(3):
            assert client.get("/v1/models").status_code == 200
        assert admin.delete(f"/noibo/v1/keys/{id_of(key)}").status_code == 200
        answer = client.get("/v1/models")
        assert answer.status_code == 401
        assert "has been revoked" in answer.text
