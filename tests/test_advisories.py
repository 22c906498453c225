"""What went wrong elsewhere, tried here: docs/security.md lists the advisories and these tests."""

from __future__ import annotations

import ast
import pickle
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from tests.running import RunningServer, run_noibo

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "noibo").rglob("*.py"))
SQL = [
    "' OR '1'='1",
    "x' UNION SELECT name, digest FROM api_keys --",
    "1; DROP TABLE responses; --",
    "\\'; UPDATE api_keys SET revoked_at=NULL; --",
    "%' OR owner LIKE '%",
    "') OR 1=1 --",
]
FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Noibo-Client": "1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("advisories") / "home") as server:
        yield server


@pytest.fixture(scope="module")
def key(running: RunningServer) -> str:
    made = run_noibo("key", "create", "dev", "--role", "developer", home=running.home)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


# ── SQL injection (LiteLLM, CVE-2026-42208: the key itself) ─────────────────


@pytest.fixture(scope="module")
def http(running: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("payload", SQL)
def test_a_key_a_cookie_or_a_name_is_no_sql(http: httpx2.Client, key: str, payload: str) -> None:
    beginning = key.rpartition("_")[0]
    for said in (f"noibo_{payload}", f"{beginning}_{payload}", f"{key}{payload}"):
        for header in ({"Authorization": f"Bearer {said}"}, {"x-api-key": said}):
            answer = http.get("/v1/models", headers=header)
            assert answer.status_code == 401, said
    cookie = FORWARDED | {"Cookie": f"noibo_session={quote(payload)}"}
    assert http.get("/v1/models", headers=cookie).status_code == 401
    said = {"name": payload, "password": payload}
    assert http.post("/noibo/v1/session", json=said).status_code in {401, 422, 429}
    assert http.get("/v1/models", headers={"x-api-key": key}).status_code == 200


@pytest.mark.parametrize("payload", SQL)
def test_an_id_or_a_cursor_is_no_sql(http: httpx2.Client, payload: str) -> None:
    said = {"model": "echo", "input": "mine"}
    kept = http.post("/v1/responses", json=said).json()["id"]
    name = quote(payload, safe="")
    for path in ("/v1/responses/{}", "/v1/files/{}", "/v1/files/{}/content", "/v1/batches/{}"):
        assert http.get(path.format(name)).status_code == 404, path
    for path in ("/v1/responses/{}", "/v1/files/{}"):
        assert http.delete(path.format(name)).status_code == 404, path
    for path in ("/v1/files", "/v1/batches", f"/v1/responses/{kept}/input_items"):
        for parameter in ("after", "order", "purpose", "limit"):
            answer = http.get(path, params={parameter: payload})
            assert answer.status_code < 500, (path, parameter)
            assert "sqlite" not in answer.text.lower()
    again = said | {"previous_response_id": payload}
    assert http.post("/v1/responses", json=again).status_code in {400, 404}
    assert http.get(f"/v1/responses/{kept}").json()["id"] == kept


def test_no_statement_is_put_together_from_text() -> None:
    """`text()` of SQLAlchemy and `exec_driver_sql` take SQL: only whole, written down literals. And
    one that SQLAlchemy itself has compiled, of a table, for one row or with its places repeated."""
    compiled = ROOT / "src" / "noibo" / "usage" / "records.py"
    said = re.findall(r"exec_driver_sql\((\S+),", compiled.read_text())
    assert said == ["insertion.together", "insertion.single"]
    assert ".compile(" in compiled.read_text()
    for path in (one for one in SOURCES if one != compiled):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            takes_sql = node.func.attr == "exec_driver_sql" or (
                node.func.attr == "text"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"sa", "sqlalchemy"}
            )
            if takes_sql:
                assert _is_written_down(node.args[0]), f"{path}:{node.lineno}"


def _is_written_down(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_written_down(node.body) and _is_written_down(node.orelse)
    return isinstance(node, ast.Constant)


# ── the Host header and the path (LiteLLM, CVE-2026-49468) ──────────────────


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1/health?x=",
        "127.0.0.1/v1/health#",
        "localhost/noibo/v1/session?",
        "127.0.0.1:80/health?",
        "user@127.0.0.1",
        "127.0.0.1\\health",
        "127.0.0.1 /health",
        "[::1]/health?",
    ],
)
def test_a_host_cannot_make_a_path_another(running: RunningServer, host: str) -> None:
    for more in ("", "X-Forwarded-For: 203.0.113.9\r\n"):
        answer = _raw(running.url, f"GET /noibo/v1/keys HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
        assert answer.split()[1] in {b"400", b"401", b"403"}, answer


def test_nothing_asks_for_an_address_that_the_host_header_is_part_of() -> None:
    for path in (ROOT / "src" / "noibo" / "gateway").rglob("*.py"):
        assert not re.search(r"request\.(url|base_url)\b", path.read_text()), path


def _raw(url: str, request: str) -> bytes:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        return connection.recv(4096)


# ── unsafe deserialisation (vLLM, CVE-2025-32444, CVE-2025-62164) ───────────

UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}


def test_nothing_is_read_in_a_way_that_can_run_code() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = set()
            if isinstance(node, ast.Import):
                names = {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
            assert not names & UNSAFE, f"{path}:{node.lineno}"  # type: ignore[attr-defined]
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in CALLS, f"{path}:{node.lineno}"
                assert called not in {"yaml.load", "yaml.unsafe_load", "torch.load", "numpy.load"}


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "model.gguf", "model.pkl"])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "it-ran"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / name).write_bytes(pickle.dumps(_Runs(proof)))
    for what in (folder / name, folder):
        done = run_noibo("add", str(what), home=tmp_path / "home")
        assert done.returncode not in {0, 1}, done.stdout
        assert "Traceback" not in done.stderr
    assert not proof.exists()


# ── SSRF on pull (LocalAI, Open WebUI CVE-2026-45400) ───────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "http://169.254.169.254/latest/meta-data/x.gguf",
        "http://127.0.0.1:1/x.gguf",
        "http://[::ffff:127.0.0.1]:1/x.gguf",
        "http://localhost.:1/x.gguf",
        "http://2130706433:1/x.gguf",
        "http://public.example\\@127.0.0.1:1/x.gguf",
        "http://public.example#@127.0.0.1:1/x.gguf",
        "https://user:pass@10.0.0.1/x.gguf",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../etc/passwd",
        "10.0.0.1:5000/library/x:latest",
        "github:../../x/y.gguf",
    ],
)
def test_who_is_elsewhere_can_send_the_server_nowhere(
    running: RunningServer, http: httpx2.Client, key: str, name: str
) -> None:
    headers = FORWARDED | {"Authorization": f"Bearer {key}"}
    for path, said in (
        ("/noibo/v1/models/pull", {"model": name, "stream": False}),
        ("/api/pull", {"model": name, "stream": False}),
        ("/api/create", {"model": "x", "modelfile": f"FROM {name}", "stream": False}),
    ):
        answer = http.post(path, json=said, headers=headers)
        assert answer.status_code in {400, 403, 404}, (path, answer.text)
    journal = running.home / "egress.jsonl"
    assert not journal.exists()


# ── one door for each model (Open WebUI, CVE-2026-44563) ────────────────────


def test_every_way_to_a_model_is_the_one_that_is_guarded() -> None:
    """`Services.resolve` and `Pipeline.resolve` are `allowed(…)`; nobody in the gateway looks a
    model up beside them."""
    for path in (ROOT / "src" / "noibo" / "gateway").rglob("*.py"):
        assert "engines.lookup" not in path.read_text(), path
    serving = (ROOT / "src" / "noibo" / "serving.py").read_text()
    assert "resolve = allowed(contexts.resolve, settings.aliases, virtual_models(" in serving
    assert serving.count("contexts.resolve") == 1


# ── the list itself ─────────────────────────────────────────────────────────


def test_every_test_that_the_list_names_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"\[([\w/]+\.py)(?:::(test_\w+))?\]\(\.\./tests/", text)
    assert len(named) > 30
    for file, test in named:
        path = ROOT / "tests" / file
        assert path.exists(), file
        if test:
            assert re.search(rf"def {test}\b", path.read_text()), f"{file}::{test}"
