"""A key's models, its secret, its end; what its batches may when a line is asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from noibo.access.grant import Permission
from noibo.database import schema
from noibo.gateway.access.permissions import needed
from tests.gateway import batching
from tests.gateway.admitting import WORD, Door, concrete, first_key, id_of, routes
from tests.postgresql import running_postgresql
from tests.running import RunningServer, until

Json = dict[str, Any]
CHAT: Json = {"messages": [{"role": "user", "content": "one two"}]}
RANK: Json = {"query": "a", "documents": ["a b", "c"]}
# Everything that leads to a model: its body, and which of the small models does it.
WRITES: dict[str, Json] = {
    "/v1/chat/completions": CHAT | {"max_tokens": 2},
    "/chat/completions": CHAT | {"max_tokens": 2},
    "/v1/completions": {"prompt": "a", "max_tokens": 2},
    "/v1/responses": {"input": "a", "max_output_tokens": 16},
    "/responses": {"input": "a", "max_output_tokens": 16},
    "/v1/responses/input_tokens": {"input": "a"},
    "/responses/input_tokens": {"input": "a"},
    "/v1/messages": CHAT | {"max_tokens": 2},
    "/v1/messages/count_tokens": CHAT,
    "/v1/chat/completions/input_tokens": CHAT,
    "/chat/completions/input_tokens": CHAT,
    "/api/chat": CHAT | {"stream": False, "options": {"num_predict": 2}},
    "/api/generate": {"prompt": "a", "stream": False, "options": {"num_predict": 2}},
    "/completion": {"prompt": "a", "n_predict": 2},
    "/completions": {"prompt": "a", "n_predict": 2},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 2},
    "/tokenize": {"content": "a b"},
    "/detokenize": {"tokens": [5]},
    "/apply-template": CHAT,
    "/api/show": {},
}
EMBEDS: dict[str, Json] = {
    "/v1/embeddings": {"input": "a"},
    "/embeddings": {"content": "a"},
    "/embedding": {"content": "a"},
    "/api/embed": {"input": "a"},
    "/api/embeddings": {"prompt": "a"},
}
RANKS: dict[str, Json] = dict.fromkeys(
    ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking"), RANK
)
LOOKS = (
    "/props?model={}",
    "/lora-adapters?model={}",
    "/v1/models/{}",
    "/noibo/v1/models/{}",
)
# These ask no model.
REFUSED = {
    *("/v1/moderations", "/v1/audio/speech", "/v1/audio/transcriptions"),
    *("/v1/audio/translations", "/audio/transcriptions", "/v1/chat/completions/control"),
    "/noibo/v1/feedback",  # a vote on an answer: tests/gateway/leaving/test_votes.py
}
ASKS = {path: ("fills", body) for path, body in WRITES.items()}
ASKS |= {path: ("mean", body) for path, body in EMBEDS.items()}
ASKS |= {path: ("ranks", body) for path, body in RANKS.items()}


def test_every_route_that_asks_a_model_is_tried_here() -> None:
    found = {
        path
        for method, path in routes()
        if needed(method, concrete(path)) is Permission.ASK and path not in REFUSED
    }
    assert found - set(ASKS) == set()


def said_403(path: str, answer: httpx2.Response) -> bool:
    """True for a refusal in that API's own shape."""
    if answer.status_code != 403:
        return False
    assert "may not use the model" in answer.text, answer.text
    error = answer.json()["error"]
    if path.startswith("/api/"):
        assert isinstance(error, str)
    elif path.startswith("/v1/messages"):
        assert answer.json()["type"] == "error"
        assert error["type"] == "permission_error"
    elif path.startswith(("/v1/", "/chat", "/responses")):
        assert error["code"] in {"forbidden", 403}
    return True


def test_a_key_for_one_model_asks_no_other(door: Door) -> None:
    with door.client(door.key(models=("echo", "ran*x"))) as client:
        for path, (model, body) in ASKS.items():
            for name in (model, f"{model}:latest", model.upper(), f"library/{model}"):
                answer = client.post(path, json=body | {"model": name})
                assert said_403(path, answer), (path, name, answer.text)
        for path in LOOKS:
            assert said_403(path, client.get(path.format("fills"))), path


def test_nor_by_an_alias_nor_as_the_default(door: Door) -> None:
    with door.client(door.key(models=("echo",))) as client:
        for path, body in WRITES.items():
            aliased = client.post(path, json=body | {"model": "gpt-4o-mini"})
            assert said_403(path, aliased), (path, aliased.text)
            if path not in {"/v1/messages", "/v1/messages/count_tokens", "/api/show"}:
                default = client.post(path, json=body)
                assert default.status_code in {400, 403}, (path, default.text)
                assert default.status_code == 400 or said_403(path, default)


@pytest.mark.parametrize("pattern", ["fills", "FILLS:*", "gpt-4o-mini"])
def test_a_key_for_a_model_asks_it_by_its_name_or_its_alias(door: Door, pattern: str) -> None:
    name = "gpt-4o-mini" if pattern == "gpt-4o-mini" else "fills"
    with door.client(door.key(models=(pattern,))) as client:
        for path, body in WRITES.items():
            answer = client.post(path, json=body | {"model": name})
            assert answer.status_code == 200, (path, answer.text)
        for path in ("/props?model={}", "/lora-adapters?model={}", "/v1/models/{}"):
            assert client.get(path.format(name)).status_code == 200, path
        refused = client.post("/v1/embeddings", json=EMBEDS["/v1/embeddings"] | {"model": "mean"})
        assert said_403("/v1/embeddings", refused)


def test_vectors_and_ranks_with_a_key_for_their_models(door: Door) -> None:
    with door.client(door.key(models=("mean", "ranks"))) as client:
        for path, (model, body) in ASKS.items():
            if model != "fills":
                answer = client.post(path, json=body | {"model": model})
                assert answer.status_code == 200, (path, answer.text)


def listed(client: httpx2.Client) -> dict[str, set[str]]:
    """The names that each list of models shows."""

    def names(path: str, rows: Callable[[Any], list[Json]], key: str) -> set[str]:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return {row[key] for row in rows(answer.json())}

    return {
        "openai": names("/v1/models", lambda found: found["data"], "id"),
        "llama": names("/models", lambda found: found["data"], "id"),
        "ollama": names("/api/tags", lambda found: found["models"], "name"),
        "running": names("/api/ps", lambda found: found["models"], "name"),
        "noibo": names("/noibo/v1/models", lambda found: found["models"], "name"),
        "workers": names("/noibo/v1/workers", lambda found: found, "model"),
    }


def test_lists_show_what_the_key_is_for(door: Door) -> None:
    with door.client(door.admin) as all_of_them:
        for path in ("/v1/completions", "/v1/embeddings"):  # their models run
            model, body = ASKS[path]
            assert all_of_them.post(path, json=body | {"model": model}).status_code == 200
        whole = listed(all_of_them)
    assert {"fills:latest", "mean:latest", "ranks:latest"} <= whole["noibo"]
    assert {"fills:latest", "mean:latest"} <= whole["running"] & whole["workers"]
    for pattern in ("fills", "fills:latest", "Fil*"):
        with door.client(door.key(models=(pattern,))) as client:
            for name, rows in listed(client).items():
                assert rows == {"fills:latest"}, name
    with door.client(door.key(models=("none-of-these",))) as client:
        assert set().union(*listed(client).values()) == set()


def test_a_key_for_some_models_manages_none(door: Door) -> None:
    with door.client(door.key("admin", models=("fills",))) as client:
        for method, path in (
            ("POST", "/noibo/v1/workers/fills/load"),
            ("DELETE", "/noibo/v1/models/fills"),
            ("POST", "/api/copy"),
            ("GET", "/noibo/v1/keys"),
            ("POST", "/noibo/v1/shutdown"),
        ):
            assert client.request(method, path, json={}).status_code == 403


# ── secrets ─────────────────────────────────────────────────────────────────


def test_a_key_is_shown_once_and_stands_nowhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = first_key(home)
    with RunningServer(
        home, "--host", "0.0.0.0", NOIBO_LOG_LEVEL="debug", NOIBO_LOG_FORMAT="json"
    ) as server:
        door = Door(server, first)
        with door.client(first) as admin:
            made = admin.post("/noibo/v1/keys", json={"name": "second"})
            assert made.status_code == 201
            assert made.headers["cache-control"] == "no-store"
            second = made.json()["key"]
            admin.post("/noibo/v1/users", json={"name": "an", "password": "a secret password"})
            signed = admin.post(
                "/noibo/v1/session", json={"name": "an", "password": "a secret password"}
            )
            cookie = signed.cookies["noibo_session"]
            rows = admin.get("/noibo/v1/keys").text
        with door.client(second) as client:
            client.post("/v1/chat/completions", json=CHAT | {"model": "echo"})
            client.post("/v1/chat/completions", json={"model": []})
            client.get("/noibo/v1/keys")
        with door.client(second[:-1]) as client:
            client.get("/v1/models")
        seen = (home / "server.json").read_bytes()
    secrets = [
        first.rpartition("_")[2],
        second.rpartition("_")[2],
        "a secret password",
        cookie,
        signed.json()["page_token"],
    ]
    kept = [server.log.read_bytes(), seen, rows.encode()]
    kept += [file.read_bytes() for file in home.rglob("*") if file.is_file()]
    assert len(kept) > 4
    for secret in secrets:
        assert not any(secret[:40].encode() in one for one in kept)
        if len(secret) == 64:  # nor its bytes
            assert not any(bytes.fromhex(secret) in one for one in kept)


# ── of one server, and of another on the same database ──────────────────────


def test_a_key_ends_by_itself(door: Door) -> None:
    with door.client(door.key(lasts_s=1.0)) as client:
        until(lambda: client.get("/v1/models").status_code == 401, "the key has expired")
        assert "has expired" in client.get("/v1/models").text


def test_a_users_end_is_their_keys_end(door: Door) -> None:
    name = door.user("developer")
    key = door.key("admin", user=name)
    with door.client(key) as client, door.client(door.admin) as admin:
        assert client.get("/noibo/v1/queue").status_code == 200
        assert client.get("/noibo/v1/keys").status_code == 403  # never above its user
        assert client.get("/noibo/v1/session").json()["owner"] == name
        admin.patch(f"/noibo/v1/users/{name}", json={"role": "user"})
        assert client.get("/noibo/v1/queue").status_code == 403
        assert client.get("/v1/models").status_code == 200
        admin.delete(f"/noibo/v1/users/{name}")
        assert client.get("/v1/models").status_code == 401


def test_who_gets_the_name_of_a_removed_user_gets_nothing_of_theirs(door: Door) -> None:
    name = door.user("user")
    with door.signed_in(name) as first:
        kept = first.post("/v1/responses", json={"model": "echo", "input": "mine"}).json()["id"]
        sent = {"file": ("mine.txt", b"mine"), "purpose": (None, "user_data")}
        file = first.post("/v1/files", files=sent).json()["id"]
        assert first.get(f"/v1/responses/{kept}").status_code == 200
        assert first.get(f"/v1/files/{file}").status_code == 200
    with door.client(door.admin) as admin:
        admin.delete(f"/noibo/v1/users/{name}")
        again = {"name": name, "role": "user", "password": WORD}
        assert admin.post("/noibo/v1/users", json=again).status_code == 201
    with door.signed_in(name) as second:
        assert second.get(f"/v1/responses/{kept}").status_code == 404
        assert second.get(f"/v1/files/{file}").status_code == 404
        assert second.get("/v1/files").json()["data"] == []


def test_what_a_removed_user_has_under_way_is_not_the_next_ones(door: Door) -> None:
    name = door.user("user")
    client = client_of(door, door.key(user=name))
    slow = {"x_echo": {"prefill_ms": 300}}
    lines = [batching.said(f"n{n}", **slow) for n in range(60)]
    batch = batching.sent(client, *lines, endpoint="/v1/responses")
    until(lambda: batching.completed(client, batch) > 3, "it is under way")
    with door.client(door.admin) as admin, sqlite3.connect(door.server.home / "noibo.db") as kept:

        def status() -> tuple[str, int]:
            found = kept.execute("SELECT status, failed FROM batches WHERE id = ?", (batch.id,))
            one: tuple[str, int] = found.fetchone()
            return one

        admin.delete(f"/noibo/v1/users/{name}")
        until(lambda: status()[0] == "completed", "the batch ends")
        assert status()[1] > 10  # what was not asked yet is refused
        again = {"name": name, "role": "user", "password": WORD}
        assert admin.post("/noibo/v1/users", json=again).status_code == 201
        for table in ("batches", "files", "responses", "response_items"):
            mine = kept.execute(f"SELECT count(*) FROM {table} WHERE owner = ?", (name,))
            assert mine.fetchone() == (0,), table
    with door.signed_in(name) as second:
        assert second.get(f"/v1/batches/{batch.id}").status_code == 404
        assert second.get("/v1/files").json()["data"] == []


def test_which_process_it_is_is_told_on_its_machine_only(door: Door) -> None:
    with door.client(door.admin) as far:
        said = far.get("/noibo/v1/status").json()
        assert (said["pid"], said["home"]) == (None, None)
    near = httpx2.get(door.near + "/noibo/v1/status", trust_env=False).json()
    assert near["pid"] > 0
    assert near["home"]


@pytest.mark.heavy
def test_another_server_on_the_database_refuses_a_revoked_key(tmp_path: Path) -> None:
    with running_postgresql() as url:
        said = {"NOIBO_DATABASE_URL": url}
        one, two = tmp_path / "a" / "home", tmp_path / "b" / "home"
        with RunningServer(one, **said) as first, RunningServer(two, **said) as second:
            door, other = Door(first, ""), Door(second, "")
            key = door.key()
            with other.client(key, near=True) as client, door.client(near=True) as admin:
                until(lambda: client.get("/v1/models").status_code == 200, "it is known", 5)
                admin.delete(f"/noibo/v1/keys/{id_of(key)}")
                until(lambda: client.get("/v1/models").status_code == 401, "it is refused", 5)


@pytest.mark.heavy
def test_a_database_from_before_is_brought_up(home: Path) -> None:
    with RunningServer(home) as server:
        httpx2.post(server.url + "/v1/responses", json={"model": "echo", "input": "kept"})
        (kept,) = (home / "noibo.db",)
    with sqlite3.connect(kept) as database:
        then = {"responses", "response_items", "files", "batches", "batch_results", "leases"}
        for table in set(schema.metadata.tables) - then:
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE batches DROP COLUMN asked_by")
        database.execute("ALTER TABLE files DROP COLUMN label")
        database.execute(
            "INSERT INTO batches VALUES ('batch_' || ?, 'local', 1, 2, 'completed', 'file-x', 0, 0,"
            " 0, ?)",
            ("0" * 32, json.dumps({"endpoint": "/v1/completions"})),
        )
        database.execute("UPDATE noibo_schema SET version = 5")
    with RunningServer(home) as server:
        client = batching.sdk(server)
        assert len(client.batches.list().data) == 1
        with server.client() as noibo:
            assert noibo.keys() == []
        door = Door(server, "")
        with door.client(door.key(), near=True) as owner:
            assert owner.get("/v1/batches").json()["data"] == []


# ── batches ─────────────────────────────────────────────────────────────────


def client_of(door: Door, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=door.far + "/v1", api_key=key, max_retries=0)


def test_a_batch_may_what_its_key_may(door: Door) -> None:
    client = client_of(door, door.key(models=("echo",)))
    lines = [batching.line("may"), batching.line("may not", model="fills")]
    batch = batching.ended(client, batching.sent(client, *lines))
    assert batch.status == "completed"
    (good,) = batching.results(client, batch.output_file_id)
    (bad,) = batching.results(client, batch.error_file_id)
    assert good["custom_id"] == "may"
    assert bad["response"]["status_code"] == 403
    assert "may not use the model 'fills:latest'" in json.dumps(bad)


def test_a_batch_of_a_revoked_key_goes_on_with_refusals(door: Door) -> None:
    key = door.key(routes=("keep", "ask"))
    client = client_of(door, key)
    slow = {"x_echo": {"prefill_ms": 300}}
    batch = batching.sent(client, *(batching.line(f"n{n}", **slow) for n in range(60)))
    until(lambda: batching.completed(client, batch) > 3, "it is under way")
    with door.client(door.admin) as admin:
        assert admin.delete(f"/noibo/v1/keys/{id_of(key)}").status_code == 200
    with sqlite3.connect(door.server.home / "noibo.db") as database:

        def counts() -> tuple[str, int, int]:
            asked = "SELECT status, completed, failed FROM batches WHERE id = ?"
            found: tuple[str, int, int] = database.execute(asked, (batch.id,)).fetchone()
            return found

        until(lambda: counts()[0] == "completed", "the batch ends")
        _, completed, failed = counts()
        (file,) = database.execute(
            "SELECT id FROM files WHERE owner = ? AND purpose = 'batch_output'"
            " AND name LIKE '%error%'",
            (f"key:{id_of(key)}",),
        ).fetchall()
    assert completed + failed == 60
    assert failed > 10
    (errors,) = list(door.server.home.rglob(f"{file[0]}*"))
    said = [json.loads(row) for row in errors.read_text().splitlines()]
    assert {row["response"]["status_code"] for row in said} == {401}
    assert "not let in any more" in said[0]["response"]["body"]["error"]["message"]


def test_a_batch_needs_the_permission_of_its_endpoint(door: Door) -> None:
    client = client_of(door, door.key(routes=("keep",)))
    batch = batching.ended(client, batching.sent(client, batching.line("a")))
    (bad,) = batching.results(client, batch.error_file_id)
    assert bad["response"]["status_code"] == 403
