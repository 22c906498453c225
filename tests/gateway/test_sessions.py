"""Signing in: a cookie that no script reads, a token that no foreign page knows, and an end."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from http.cookies import SimpleCookie

import httpx2
import pytest

from tests.gateway.admitting import GUARD, PAGE_TOKEN, WORD, Door, concrete, raw, routes

SIGN_IN = "/noibo/v1/session"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def name(door: Door) -> str:
    return door.user("admin")


@pytest.fixture
def page(door: Door, name: str) -> Iterator[httpx2.Client]:
    with door.signed_in(name) as signed:
        yield signed


def signs_in(door: Door, name: str, word: str = WORD) -> httpx2.Response:
    return httpx2.post(
        door.far + SIGN_IN, json={"name": name, "password": word}, trust_env=False, timeout=60
    )


def test_who_signs_in_gets_a_cookie_that_no_script_reads(door: Door, name: str) -> None:
    answer = signs_in(door, name)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == "noibo_session"
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "strict"
    assert cookie["path"] == "/"
    assert cookie["secure"] == ""  # without TLS it could not be sent back
    assert cookie["max-age"] == str(7 * 86400)
    said = answer.json()
    assert (said["name"], said["owner"], said["role"]) == (f"user:{name}", name, "admin")
    assert len(said["page_token"]) == 64
    assert cookie.value not in answer.text


def test_a_page_knows_who_is_signed_in(page: httpx2.Client, name: str) -> None:
    said = page.get(SIGN_IN).json()
    assert (said["name"], said["owner"], said["role"]) == (f"user:{name}", name, "admin")
    assert said["page_token"] == page.headers[PAGE_TOKEN]


def test_a_session_asks_models(page: httpx2.Client) -> None:
    assert page.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert page.get("/v1/models").status_code == 200


def test_nothing_is_changed_without_the_pages_token(page: httpx2.Client) -> None:
    """Every route there is, and some that are not: as a foreign page makes a browser send it."""
    del page.headers[PAGE_TOKEN]
    paths = [*sorted({path for _, path in routes()}), "/no/such/path"]
    asked = 0
    for path in map(concrete, paths):
        for method in WRITES:
            if (method, path) == ("POST", SIGN_IN):
                continue
            asked += 1
            answer = page.request(method, path, json={})
            assert answer.status_code == 403, (method, path, answer.text)
            assert PAGE_TOKEN.lower() in answer.text
    assert asked > 400
    assert page.get(SIGN_IN).status_code == 200  # it was not signed out


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "é", "0" * 10_000])
def test_a_wrong_token_is_none(page: httpx2.Client, token: str) -> None:
    said = {PAGE_TOKEN: token.encode()}
    for path in ("/v1/chat/completions", "/noibo/v1/shutdown"):
        assert page.post(path, json=CHAT, headers=said).status_code == 403


def test_nor_is_the_token_of_another_session(door: Door, name: str, page: httpx2.Client) -> None:
    with door.signed_in(name) as other:
        foreign = {PAGE_TOKEN: other.headers[PAGE_TOKEN]}
        assert page.post("/v1/chat/completions", json=CHAT, headers=foreign).status_code == 403
        assert other.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert page.post("/v1/chat/completions", json=CHAT).status_code == 200


def test_who_has_lost_the_token_signs_in_again(page: httpx2.Client, name: str) -> None:
    del page.headers[PAGE_TOKEN]
    answer = page.post(SIGN_IN, json={"name": name, "password": WORD})
    assert answer.status_code == 200
    assert page.get(SIGN_IN).json()["page_token"] == answer.json()["page_token"]


def test_a_foreign_page_cannot_sign_anybody_in(door: Door, name: str) -> None:
    for near in (True, False):
        with door.client(near=near, Origin="https://evil.example") as client:
            answer = client.post(SIGN_IN, json={"name": name, "password": WORD})
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


def test_other_cookies_of_this_host_do_not_matter(door: Door, page: httpx2.Client) -> None:
    mine = page.cookies["noibo_session"]
    for said in (
        f"a=b; noibo_session={mine}; c=d",
        f'odd={{"a": 1}}; bad[0]=1; noibo_session={mine}',
        f"=; ;;; noibo_session={mine}",
        f"é=1; noibo_session={mine}",
    ):
        head = f"GET {SIGN_IN} HTTP/1.1\r\nHost: {door.address}\r\nConnection: close\r\nCookie: "
        assert raw(door.far, head.encode() + said.encode() + b"\r\n\r\n")[0] == 200, said
    for said in ("noibo_session=", "noibo_session", f"noibo_session2={mine}", "noibo_session=x"):
        answer = httpx2.get(door.far + "/v1/models", headers={"Cookie": said}, trust_env=False)
        assert answer.status_code == 401


def test_a_key_counts_before_a_session(door: Door, page: httpx2.Client) -> None:
    said = {"Authorization": f"Bearer {door.key(models=('mean',))}"}
    assert page.post("/v1/chat/completions", json=CHAT, headers=said).status_code == 403
    assert page.get("/v1/models", headers={"Authorization": "Bearer noibo_x"}).status_code == 401
    assert page.get("/v1/models", headers={"Authorization": "Bearer sk-x"}).status_code == 200


# ── the end ─────────────────────────────────────────────────────────────────


def test_signing_out_ends_it(door: Door, name: str) -> None:
    with door.signed_in(name) as page:
        kept = {"Cookie": f"noibo_session={page.cookies['noibo_session']}"}
        answer = page.delete(SIGN_IN)
        assert answer.status_code == 200
        assert "noibo_session" not in page.cookies
        assert page.get("/v1/models", headers=kept).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"password": "another password"},
        pytest.param({"role": "user"}, marks=pytest.mark.heavy),
        pytest.param(None, marks=pytest.mark.heavy),
    ],
)
def test_a_change_of_the_user_ends_all_their_sessions(
    door: Door, change: dict[str, str] | None
) -> None:
    name = door.user()
    with door.signed_in(name) as one, door.signed_in(name) as two, door.client(door.admin) as admin:
        assert [page.get("/v1/models").status_code for page in (one, two)] == [200, 200]
        path = f"/noibo/v1/users/{name}"
        done = admin.patch(path, json=change) if change else admin.delete(path)
        assert done.status_code == 200
        assert [page.get("/v1/models").status_code for page in (one, two)] == [401, 401]


# ── guessing ────────────────────────────────────────────────────────────────


def test_a_user_changes_their_own_password_and_goes_on(door: Door) -> None:
    name = door.user("user")
    with door.signed_in(name) as page, door.signed_in(name) as other:
        change = {"password": WORD, "new_password": "mật khẩu mới của tôi"}
        assert page.patch(SIGN_IN, json=change | {"password": "wrong words"}).status_code == 401
        assert other.get(SIGN_IN).status_code == 200
        answer = page.patch(SIGN_IN, json=change)
        assert answer.status_code == 200
        page.headers[PAGE_TOKEN] = answer.json()["page_token"]
        assert page.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert other.get(SIGN_IN).status_code == 401
    assert signs_in(door, name).status_code == 401
    assert signs_in(door, name, change["new_password"]).status_code == 200


def test_who_mistyped_the_old_password_changes_it_all_the_same(door: Door) -> None:
    name, new = door.user("user"), "another good password"
    with door.signed_in(name) as page:
        for _ in range(4):
            wrong = {"password": "wrong words", "new_password": new}
            assert page.patch(SIGN_IN, json=wrong).status_code == 401
        short = {"password": WORD, "new_password": "short"}
        assert page.patch(SIGN_IN, json=short).status_code == 400
        changed = page.patch(SIGN_IN, json={"password": WORD, "new_password": new})
        assert changed.status_code == 200, changed.text
        assert page.get(SIGN_IN).json()["owner"] == name
    for _ in range(6):  # nothing is left of the guesses
        assert signs_in(door, name, new).status_code == 200


def test_who_came_with_a_key_has_no_password(door: Door, name: str) -> None:
    change = {"password": WORD, "new_password": "other words"}
    answer = httpx2.patch(
        door.near + SIGN_IN, json=change, headers=GUARD, trust_env=False, timeout=60
    )
    assert answer.status_code == 400
    assert "Sign in first" in answer.text


def test_the_sixth_wrong_password_waits_and_so_does_the_right_one(door: Door) -> None:
    name, other = door.user(), door.user()
    found = [signs_in(door, name, "a wrong password") for _ in range(5)]
    assert [one.status_code for one in found] == [401] * 5
    while (again := signs_in(door, name, "wrong")).status_code == 401:  # where a guess takes 2 s
        found.append(again)
        assert len(found) < 10  # each further one waits for twice as long
    assert again.status_code == 429
    assert int(again.headers["retry-after"]) >= 1
    right = signs_in(door, name)
    assert right.status_code == 429
    assert "set-cookie" not in right.headers
    assert signs_in(door, other).status_code == 200
    with door.client(near=True) as elsewhere:  # from another address
        assert elsewhere.post(SIGN_IN, json={"name": name, "password": WORD}).status_code == 200


def test_behind_a_proxy_each_address_is_counted_by_itself(door: Door) -> None:
    name = door.user("user")

    def status(word: str, address: str) -> int:
        said = {"name": name, "password": word}
        with door.client(near=True, **{"X-Forwarded-For": f"198.51.100.9, {address}"}) as proxied:
            return proxied.post(SIGN_IN, json=said).status_code

    assert [status("wrong words", "203.0.113.1") for _ in range(6)] == [401] * 5 + [429]
    assert status(WORD, "203.0.113.1") == 429
    assert status(WORD, "203.0.113.2") == 200


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(door: Door, name: str) -> None:
    said = [
        (answer.status_code, answer.json(), sorted(answer.headers))
        for answer in (signs_in(door, name, "wrong"), signs_in(door, "no-such-user", WORD))
    ]
    assert said[0] == said[1]
    assert said[0][0] == 401


def test_the_same_letters_written_otherwise(door: Door) -> None:
    name = door.user()
    for form in ("NFC", "NFD"):
        assert signs_in(door, name, unicodedata.normalize(form, WORD)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"name": "an"}',
        b'{"name": "an", "password": 1}',
        b'{"name": null, "password": "x"}',
        b'{"name": "an", "password": "x", "role": "admin"}',
        b'{"name": "an", "password": "x", "password": "y"}',
        b'{"name": "an", "password": "\\ud800"}',
        b'{"name": "' + b"a" * 65 + b'", "password": "x"}',
        b'{"name": "an", "password": "' + b"a" * 1025 + b'"}',
        b"\xff",
    ],
)
def test_bad_bodies_are_400s(door: Door, body: bytes) -> None:
    answer = httpx2.post(
        door.far + SIGN_IN,
        content=body,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"]


def test_who_signs_in_sends_a_few_words_only(door: Door) -> None:
    head = f"POST {SIGN_IN} HTTP/1.1\r\nHost: {door.address}\r\nContent-Type: application/json\r\n"
    said = f"{head}Content-Length: 1000000000\r\n\r\n".encode()
    assert raw(door.far, said)[0] == 413
    large = {"name": "an", "password": "x" * 2**17}
    assert httpx2.post(door.far + SIGN_IN, json=large, trust_env=False).status_code == 413


def test_users_are_added_in_words_and_no_list_shows_a_password(door: Door) -> None:
    users = door.near + "/noibo/v1/users"
    for body in (
        {"name": "an", "password": "short one"},
        {"name": "An Nguyễn", "password": "a long password"},
        {"name": "local", "password": "a long password"},
        {"name": "an", "password": "a long password", "role": "root"},
    ):
        answer = httpx2.post(users, json=body, headers=GUARD)
        assert answer.status_code == 400, answer.text
        assert "a long password" not in answer.text
    good = {"name": "an", "password": "a long password"}
    assert httpx2.post(users, json=good).status_code == 403  # pages cannot
    made = httpx2.post(users, json=good, headers=GUARD)
    assert made.status_code == 201
    assert set(made.json()) == {"name", "role", "created_at"}
    assert httpx2.post(users, json=good, headers=GUARD).status_code == 409
    assert "scrypt" not in httpx2.get(users).text
