"""What belongs to whom: every route that names an object, asked with another's.

A route that names something must be told here of what it names; one that is forgotten fails.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.gateway import batching
from tests.gateway.admitting import WORD, Door, concrete, routes
from tests.running import until

# What a name in a path stands for, of what belongs to somebody …
OWNED = {
    "/v1/responses/{name}": "resp",
    "/v1/files/{name}": "file",
    "/v1/batches/{name}": "batch",
}
# … and of what belongs to nobody, and is guarded by permissions and by a key's models.
SHARED = (
    "/v1/models/{name:path}",
    "/noibo/v1/models/{name:path}",
    "/noibo/v1/workers/{model:path}/",
    "/noibo/v1/pulls/{pull_id}",
    "/noibo/v1/keys/{key}",
    "/noibo/v1/users/{name}",
    "/api/blobs/{digest}",
    "/slots/{slot}",
    "/noibo/v1/receipts/{request_id}",  # of who sent it: tests/gateway/leaving
    # refused to everybody
    "/v1/stream/{conversation}",
    "/v1/chat/completions/{rest:path}",
    "/v1/messages/batches/{rest:path}",
)


def named() -> list[tuple[str, str]]:
    """Every method and path with a name in it; not what OpenAI serves and noibo does not."""
    with_names = [(method, path) for method, path in routes() if "{" in path]
    return [one for one in with_names if not one[1].endswith("/{rest:path}") or one[1] in SHARED]


def kind_of(path: str) -> str | None:
    return next((kind for start, kind in OWNED.items() if path.startswith(start)), None)


@pytest.mark.parametrize(("method", "path"), named())
def test_it_was_decided_whose_it_is(method: str, path: str) -> None:
    assert kind_of(path) is not None or path.startswith(SHARED), (
        f"{method} {path}: whose is it? Tell OWNED or SHARED, and `made` below."
    )


Json = dict[str, Any]
OTHERS = ("key", "session", "user's key", "admin", "local")


@dataclass(frozen=True, slots=True)
class Made:
    """Everything that one caller can store. `item`: of a response's answer."""

    ids: dict[str, list[str]]
    item: str
    secret: str


def made(client: httpx2.Client, secret: str) -> Made:
    """One of everything."""

    def post(path: str, **said: Any) -> Json:
        answer = client.post(path, **said)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def response(**said: Any) -> Json:
        return post("/v1/responses", json={"model": "echo", "input": secret} | said)

    lines = json.dumps(batching.line(secret))
    upload = {
        "files": {"file": (f"{secret}.jsonl", io.BytesIO(lines.encode()))},
        "data": {"purpose": "batch"},
    }
    file = post("/v1/files", **upload)["id"]
    asked = {"input_file_id": file, "endpoint": batching.CHAT, "completion_window": "24h"}
    batch = post("/v1/batches", json=asked | {"metadata": {"x": secret}})["id"]

    def ended() -> bool:
        found = client.get(f"/v1/batches/{batch}").json()
        return found["status"] == "completed"

    until(ended, "the batch ends")
    output = client.get(f"/v1/batches/{batch}").json()["output_file_id"]
    plain, behind = response(), response(background=True)
    found = {
        "resp": [plain["id"], behind["id"]],
        "file": [file, output],
        "batch": [batch],
    }
    return Made(found, plain["output"][0]["id"], secret)


@contextlib.contextmanager
def callers(door: Door) -> Iterator[dict[str, httpx2.Client]]:
    """`OTHERS`, who are not the owner: another key, another user's session and key, an admin's
    key, and who works on the machine."""
    user = door.user()
    with (
        door.client(door.key()) as key,
        door.signed_in(user) as page,
        door.client(door.key(user=user)) as users_key,
        door.client(door.admin) as admin,
        door.client(near=True) as local,
    ):
        yield dict(zip(OTHERS, (key, page, users_key, admin, local), strict=True))


def like(name: str) -> str:
    """An unknown name of the same form."""
    return name[:-24] + secrets.token_hex(12)


def asked(client: httpx2.Client, method: str, path: str, name: str) -> tuple[int, str]:
    """Status and body for an object, with its name taken out."""
    body = {} if method in {"POST", "PUT", "PATCH"} else None
    answer = client.request(method, concrete(path, name), json=body)
    return answer.status_code, answer.text.replace(name, "NAME")


@pytest.fixture(scope="module")
def owner(door: Door) -> Iterator[httpx2.Client]:
    with door.client(door.key()) as client:
        yield client


@pytest.fixture(scope="module")
def mine(owner: httpx2.Client) -> Made:
    return made(owner, "a-secret-of-mine")


@pytest.fixture(scope="module")
def others(door: Door) -> Iterator[dict[str, httpx2.Client]]:
    with callers(door) as found:
        yield found


@pytest.mark.parametrize("who", OTHERS)
def test_to_everybody_else_it_does_not_exist(
    owner: httpx2.Client, mine: Made, others: dict[str, httpx2.Client], who: str
) -> None:
    owned = [(method, path) for method, path in named() if kind_of(path) and method != "HEAD"]
    count = 0
    for method, path in owned:
        for name in mine.ids[kind_of(path) or ""]:
            for query in ("", "?stream=true", "?include=x&after=y&limit=1"):
                found = asked(others[who], method, path + query, name)
                nothing = asked(others[who], method, path + query, like(name))
                assert found == nothing, (method, path)
                assert found[0] in ({404, 400} if query else {404}), (path, found)
                assert mine.secret not in found[1]
                count += 1
    print(f"{who}: {len(owned)} routes that name an object, {count} requests with another's")
    for method, path in owned:  # and it is all still there
        if method == "GET":
            for name in mine.ids[kind_of(path) or ""]:
                assert owner.get(concrete(path, name)).status_code == 200, path


@pytest.mark.parametrize("who", OTHERS)
def test_lists_show_ones_own_only(
    owner: httpx2.Client, mine: Made, others: dict[str, httpx2.Client], who: str
) -> None:
    for path, kind in (("/v1/files", "file"), ("/v1/batches", "batch")):
        assert set(mine.ids[kind]) <= {row["id"] for row in owner.get(path).json()["data"]}
        for query in ("", "?order=asc", "?purpose=batch", "?limit=100"):
            said = others[who].get(path + query)
            if said.status_code == 200:
                names = {row["id"] for row in said.json()["data"]}
                assert names.isdisjoint(mine.ids[kind]), path
                assert names == set() or who in {"admin", "local"}  # who have some of their own
        name = mine.ids[kind][0]
        answers = [others[who].get(f"{path}?after={one}") for one in (name, like(name))]
        assert answers[0].status_code == answers[1].status_code
        assert mine.secret not in answers[0].text


def in_bodies(mine: Made) -> list[tuple[str, str, Json]]:
    """Every field of a body that can name an object: its path, the name, the body."""
    plain, file = mine.ids["resp"][0], mine.ids["file"][0]
    batch: Json = {"endpoint": batching.CHAT, "completion_window": "24h"}

    def given(**part: str) -> Json:
        parts = [{"type": "input_file", **part}]
        return {"model": "echo", "input": [{"role": "user", "content": parts}]}

    return [
        ("/v1/responses", plain, {"model": "echo", "input": "x", "previous_response_id": plain}),
        (
            "/v1/responses/input_tokens",
            plain,
            {"model": "echo", "input": "x", "previous_response_id": plain},
        ),
        ("/v1/responses/compact", plain, {"model": "echo", "previous_response_id": plain}),
        (
            "/v1/responses",
            mine.item,
            {"model": "echo", "input": [{"type": "item_reference", "id": mine.item}]},
        ),
        ("/v1/responses", file, given(file_id=file)),
        ("/v1/batches", file, batch | {"input_file_id": file}),
        ("/v1/batches", mine.ids["file"][1], batch | {"input_file_id": mine.ids["file"][1]}),
    ]


@pytest.mark.parametrize("who", OTHERS)
def test_a_name_in_a_body_is_as_unknown(
    mine: Made, others: dict[str, httpx2.Client], who: str
) -> None:
    for path, name, body in in_bodies(mine):
        said = []
        for one in (name, like(name)):
            text = json.dumps(body).replace(name, one)
            answer = others[who].post(
                path, content=text, headers={"Content-Type": "application/json"}
            )
            said.append((answer.status_code, answer.text.replace(one, "NAME")))
        assert said[0] == said[1], (path, body)
        assert said[0][0] >= 400
        assert mine.secret not in said[0][1]


def test_a_user_has_their_own_in_every_session_and_with_every_key(door: Door) -> None:
    user = door.user()
    with (
        door.signed_in(user) as page,
        door.client(door.key(user=user)) as key,
        door.client(door.key(user=user)) as other,
    ):
        kept = page.post("/v1/responses", json={"model": "echo", "input": "x"}).json()["id"]
        for client in (page, key, other):
            assert client.get(f"/v1/responses/{kept}").status_code == 200
        assert other.delete(f"/v1/responses/{kept}").status_code == 200
        assert page.get(f"/v1/responses/{kept}").status_code == 404


def test_two_keys_of_nobodys_have_nothing_in_common(door: Door) -> None:
    with door.client(door.key()) as one, door.client(door.key()) as other:
        who = [client.get("/noibo/v1/session").json()["owner"] for client in (one, other)]
    assert len(set(who)) == 2
    assert all(name.startswith("key:") for name in who)


def test_a_user_cannot_take_the_name_of_another_owner(door: Door) -> None:
    with door.client(door.key()) as client, door.client(door.admin) as admin:
        owner = client.get("/noibo/v1/session").json()["owner"]
        for name in ("local", owner):
            answer = admin.post("/noibo/v1/users", json={"name": name, "password": WORD})
            assert answer.status_code == 400, name
