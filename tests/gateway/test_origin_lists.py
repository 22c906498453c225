"""Under which other names a server may be called, and which foreign pages may speak to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from noibo.gateway.origin import OPEN
from tests.gateway.admitting import Door, raw
from tests.running import RunningServer

APP = "https://app.example"
ALLOW = "access-control-allow-origin"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}


def status(door: Door, host: str, *, near: bool, path: str = "/v1/models") -> int:
    bearer = f"Authorization: Bearer {door.admin}\r\nConnection: close\r\n\r\n"
    said = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}"
    return raw(door.near if near else door.far, said.encode())[0]


@pytest.mark.parametrize(
    "host",
    [
        *("ai.example", "AI.example:8080", "box.lan", "box.lan:11500", "a.b.lan", "ai.example."),
        *("127.0.0.1", "localhost:1", "[::1]"),
    ],
)
def test_names_that_are_allowed(door: Door, host: str) -> None:
    assert status(door, host, near=True) == 200
    assert status(door, host, near=False) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "ai.example.evil.example", "evilai.example", "lan", "box.lan.evil"),
        *("evil.example:11500", "evil.example#.lan", "x@evil.example", "localhost.evil.example"),
        *("ai.example@evil.example", "[", "[::1", "a" * 5000, "é.example"),
    ],
)
def test_no_other_name_also_with_a_key(door: Door, host: str) -> None:
    assert status(door, host, near=True) == 403
    assert status(door, host, near=False) == 403
    assert status(door, host, near=False, path="/health") == 403


def test_plain_addresses_are_names_from_elsewhere_only(door: Door) -> None:
    assert status(door, door.address, near=False) == 200
    assert status(door, "10.1.2.3:80", near=False) == 200  # behind another gate
    assert status(door, door.address, near=True) == 403
    assert status(door, "0.0.0.0:11500", near=True) == 403


def test_a_request_has_one_host(door: Door) -> None:
    for hosts in (("127.0.0.1", "evil.example"), ("evil.example", "127.0.0.1")):
        lines = "".join(f"Host: {host}\r\n" for host in hosts)
        said = f"GET /v1/models HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
        assert raw(door.near, said.encode())[0] in {400, 403}


# ── pages ───────────────────────────────────────────────────────────────────


def preflight(client: httpx2.Client, path: str, origin: str, method: str = "POST") -> bool:
    """Whether a browser would go on."""
    asks = {"Origin": origin, "Access-Control-Request-Method": method}
    asks |= {"Access-Control-Request-Headers": "authorization,content-type,x-noibo-client"}
    answer = client.options(path, headers=asks)
    assert (answer.status_code == 200) == (ALLOW in answer.headers)
    return answer.status_code == 200


def test_a_page_that_is_allowed_may_with_a_key_what_the_key_may(door: Door) -> None:
    page = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    for near in (True, False):
        with door.client(door.key("developer"), near=near, **page) as client:
            for path in ("/v1/chat/completions", "/v1/files", "/noibo/v1/queue"):
                assert preflight(client, path, APP)
            answer = client.post("/v1/chat/completions", json=CHAT)
            assert (answer.status_code, answer.headers[ALLOW]) == (200, "*")
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers
            assert client.get("/v1/files").status_code == 200
            assert client.get("/noibo/v1/queue").status_code == 200
            assert client.get("/noibo/v1/keys").status_code == 403


def test_without_a_key_it_may_only_ask_and_only_here(door: Door) -> None:
    page = {"Origin": APP}
    with door.client(near=True, **page) as near, door.client(**page) as far:
        assert near.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert near.get("/v1/files").status_code == 403
        assert near.get("/v1/files", headers={"X-Api-Key": "sk-x"}).status_code == 403
        answer = far.post("/v1/chat/completions", json=CHAT)
        assert (answer.status_code, answer.headers[ALLOW]) == (401, "*")  # it may read why


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "https://app.example.evil.example"),
        *("https://xapp.example", "http://app.example", "https://app.example:8443"),
        *("https://app.example/", "https://APP.example", "https://app.example, https://x"),
        *("file://", "http://127.0.0.1.evil.example", "https://localhost.evil.example"),
    ],
)
def test_no_other_page_gets_anything_whatever_its_key(door: Door, origin: str) -> None:
    for near in (True, False):
        with door.client(door.admin, near=near) as client:
            for path in ("/v1/models", "/health", "/v1/files"):
                answer = client.get(path, headers={"Origin": origin})
                assert answer.status_code == 403
                assert not any(name.startswith("access-control") for name in answer.headers)
                assert not preflight(client, path, origin)


def test_a_page_of_another_program_of_this_machine(door: Door) -> None:
    page = {"Origin": "http://localhost:3000"}
    with door.client(near=True, **page) as near, door.client(door.admin, **page) as far:
        assert near.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert near.get("/v1/files").status_code == 403
        for path in OPEN:  # it is another machine's localhost
            assert far.get(path).status_code == 403
        assert not preflight(far, "/v1/chat/completions", "http://localhost:3000")


def test_a_page_of_the_server_itself(door: Door) -> None:
    for url, host in ((door.far, ""), (door.near, "ai.example")):
        own = f"http://{host}" if host else url
        said = {"Origin": own, "Sec-Fetch-Site": "same-origin", "X-Api-Key": door.admin}
        said |= {"Host": host} if host else {}
        assert httpx2.get(url + "/noibo/v1/keys", headers=said).status_code == 200
        behind = said | {"X-Forwarded-Proto": "https", "Origin": own.replace("http:", "https:")}
        assert httpx2.get(url + "/noibo/v1/keys", headers=behind).status_code == 200


# ── a real browser ──────────────────────────────────────────────────────────

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = """<!doctype html><title>x</title><script>
const said = [];
async function tried(what, work) {{
  try {{ const r = await work(); said.push(what + "=" + r.type + r.status + (await r.text())); }}
  catch (e) {{ said.push(what + "=" + e.name); }}
}}
(async () => {{
  const chat = {{method: "POST", body: JSON.stringify({{model: "echo", prompt: "secret"}})}};
  await tried("simple", () => fetch("{url}/v1/completions", {{...chat, mode: "no-cors"}}));
  await tried("cors", () => fetch("{url}/v1/completions", chat));
  await tried("read", () => fetch("{url}/v1/models"));
  document.body.textContent = "DONE " + said.join(" ");
}})();
</script><body>"""


def shown(url: str, *arguments: str) -> str:
    """What a page has become."""
    assert BROWSER
    said = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*said, "--virtual-time-budget=20000", *arguments, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.heavy
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_a_browser_with_a_hostile_page(server: RunningServer, tmp_path: Path) -> None:
    page = tmp_path / "hostile.html"
    page.write_text(PAGE.format(url=server.url))
    found = shown(page.as_uri())
    assert "simple=opaque0" in found
    assert "cors=TypeError" in found
    assert "read=TypeError" in found
    with server.client() as client:
        assert client.workers() == []  # nobody was answered


@pytest.mark.heavy
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_a_browser_that_was_told_a_false_address(server: RunningServer) -> None:
    port = urlsplit(server.url).port
    rule = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    assert "not called" in shown(f"http://evil.example:{port}/v1/models", rule)
