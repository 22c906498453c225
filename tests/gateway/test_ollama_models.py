"""Models by Ollama's own client: listed, shown, made, copied, fetched and deleted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import ollama
import pytest

from noibo.modelstore.store import Store
from noibo.modelstore.upload import LARGEST
from tests.modelstore.index_server import tiny_gguf
from tests.modelstore.other_programs import adapter
from tests.modelstore.registry_server import RegistryServer
from tests.running import RunningServer, run_noibo, until

TINY = tiny_gguf(1)
GO = "{{ if .System }}<s>{{ .System }}</s>{{ end }}<u>{{ .Prompt }}</u><a>{{ .Response }}</a>"


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, registry: RegistryServer
) -> Iterator[RunningServer]:
    """A server with a store of its own, where models may be made."""
    home = tmp_path_factory.mktemp("shop") / "home"
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text('[aliases]\n"gpt-4o-mini" = "tiny"\n')
    source = home.parent / "tiny.gguf"
    source.write_bytes(TINY)
    assert run_noibo("add", str(source), "--name", "tiny", home=home).returncode == 0
    with RunningServer(home, NOIBO_FETCH_REGISTRY=registry.origin) as server:
        yield server


@pytest.fixture(scope="module")
def client(shop: RunningServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=shop.url) as client:
        yield client


@pytest.fixture(scope="module")
def http(shop: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, timeout=30) as http:
        yield http


def store_of(shop: RunningServer) -> Store:
    return Store(shop.home / "models")


def names(client: ollama.Client) -> set[str]:
    return {str(one.model) for one in client.list().models}


def test_somebody_is_there(http: httpx.Client) -> None:
    assert http.get("/").text == "Ollama is running"
    assert http.head("/").status_code == 200
    version = http.get("/api/version").json()["version"]
    assert all(part.isdecimal() for part in version.split("."))


def test_what_is_listed_is_true(client: ollama.Client, shop: RunningServer) -> None:
    (one,) = (one for one in client.list().models if one.model == "tiny:latest")
    stored = store_of(shop).get("tiny")
    assert (one.size, one.modified_at.timestamp()) == (
        len(TINY),
        pytest.approx(stored.added_at, abs=1e-5),
    )
    assert len(one.digest) == 64
    assert one.details.family == "llama"
    assert one.details.families == ["llama"]
    assert one.details.format == "gguf"
    (alias,) = (one for one in client.list().models if one.model == "gpt-4o-mini")
    assert alias.digest == one.digest


def test_what_is_shown_is_of_the_header(client: ollama.Client, http: httpx.Client) -> None:
    found = client.show("tiny")
    assert found.modelinfo["general.architecture"] == "llama"
    assert found.modelinfo["general.parameter_count"] > 0
    assert found.capabilities == ["completion", "tools"]  # it is taught to tell them
    assert "FROM /" in found.modelfile
    brief = http.post("/api/show", json={"model": "tiny"}).json()
    whole = http.post("/api/show", json={"model": "tiny", "verbose": True}).json()
    assert "tensors" not in brief
    assert {one["name"] for one in whole["tensors"]} >= {"token_embd.weight"}
    assert http.post("/api/show", json={"name": "tiny"}).json() == brief  # as old clients ask


def test_what_a_model_cannot_be_told_is_refused_and_not_shown(
    client: ollama.Client, http: httpx.Client
) -> None:
    client.create("mute", from_="tiny", template="{% if true %}Hello{% endif %}", stream=False)
    assert client.show("mute").capabilities == ["completion"]
    tool = {"type": "function", "function": {"name": "f"}}
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}
    refused = http.post("/api/chat", json={"model": "mute"} | asked)
    assert refused.status_code == 400
    assert refused.json()["error"] == '"mute" does not support tools.'
    given = {"name": "f", "input_schema": {"type": "object"}}
    message = {"model": "mute", "max_tokens": 1, "messages": asked["messages"], "tools": [given]}
    refused = http.post("/v1/messages", json=message)
    assert refused.status_code == 400
    assert "tools: this model knows of none" in refused.json()["error"]["message"]


def test_names_are_ollamas(client: ollama.Client) -> None:
    shown = client.show("tiny").modelfile
    for name in ("tiny:latest", "TINY", "registry.ollama.ai/library/tiny", "gpt-4o-mini"):
        assert client.show(name).modelfile == shown


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.show("nobody"),
        lambda client: client.delete("nobody"),
        lambda client: client.copy("nobody", "somebody"),
        lambda client: client.create("somebody", from_="nobody"),
        lambda client: client.chat("nobody"),
        lambda client: client.generate("nobody", "x"),
        lambda client: client.embed("nobody", "x"),
        lambda client: client.embeddings("nobody", "x"),
    ],
)
def test_an_unknown_model_is_said_as_ollama_says_it(client: ollama.Client, call: Any) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nobody' not found") as refused:
        call(client)
    assert refused.value.status_code == 404


def test_a_model_is_made_of_another(client: ollama.Client, shop: RunningServer) -> None:
    steps = [
        step.status
        for step in client.create(
            "mario",
            from_="tiny",
            system="You are Mario.",
            template=GO,
            parameters={"temperature": 0.2, "stop": ["</a>"], "num_ctx": 64},
            messages=[{"role": "user", "content": "Hi"}],
            license=["MIT", "second"],
            stream=True,
        )
    ]
    assert steps[-2:] == ["writing manifest", "success"]
    found = client.show("mario")
    assert (found.template, found.license) == (GO, "MIT\nsecond")
    assert found.parameters.split() == ["temperature", "0.2", "stop", '"</a>"', "num_ctx", "64"]
    stored = store_of(shop).get("mario")
    assert stored.defaults.system == "You are Mario."
    assert stored.defaults.messages == ({"role": "user", "content": "Hi"},)
    assert "messages" in (stored.defaults.template or "")  # as the engine gets it: in Jinja
    # What is not said again stays as the base had it.
    client.create("luigi", from_="mario", system="You are Luigi.", stream=False)
    luigi = store_of(shop).get("luigi").defaults
    assert (luigi.system, luigi.source_template) == ("You are Luigi.", GO)
    assert luigi.parameters == stored.defaults.parameters


def test_a_model_is_made_of_a_modelfile(http: httpx.Client, shop: RunningServer) -> None:
    text = f'FROM tiny\nSYSTEM """You are\nMario."""\nTEMPLATE """{GO}"""\nPARAMETER top_k 3\n'
    made = http.post("/api/create", json={"name": "written", "modelfile": text})
    assert json.loads(made.text.splitlines()[-1]) == {"status": "success"}
    assert store_of(shop).get("written").defaults.system == "You are\nMario."
    # What is shown makes the same model again.
    shown = http.post("/api/show", json={"model": "written"}).json()["modelfile"]
    again = {"model": "again", "modelfile": shown, "stream": False}
    assert http.post("/api/create", json=again).json() == {"status": "success"}
    assert store_of(shop).get("again").defaults == store_of(shop).get("written").defaults


def test_a_model_is_made_of_blobs(
    client: ollama.Client, shop: RunningServer, tmp_path: Path
) -> None:
    model, lora = tmp_path / "model.gguf", tmp_path / "lora.gguf"
    model.write_bytes(tiny_gguf(2))
    lora.write_bytes(adapter())
    digests = {path: client.create_blob(path) for path in (model, lora)}
    client.create_blob(model)  # it is here: nothing happens
    client.create(
        "made",
        files={"model.gguf": digests[model]},
        adapters={"lora.gguf": digests[lora]},
        stream=False,
    )
    stored = store_of(shop).get("made")
    assert stored.path.read_bytes() == model.read_bytes()
    assert [path.read_bytes() for path in stored.adapters] == [lora.read_bytes()]
    assert "ADAPTER /" in client.show("made").modelfile
    client.create("other", from_="made", system="x", stream=False)
    assert store_of(shop).get("other").adapters == stored.adapters
    client.delete("made")
    assert stored.path.exists()  # another model uses it
    client.delete("other")
    assert not stored.path.exists()


def test_a_blob_is_checked_on_its_way(http: httpx.Client, shop: RunningServer) -> None:
    data = b"some bytes" * 1000
    right = "sha256:" + hashlib.sha256(data).hexdigest()
    wrong = "sha256:" + "0" * 64
    assert http.head(f"/api/blobs/{right}").status_code == 404
    refused = http.post(f"/api/blobs/{wrong}", content=data)
    assert refused.status_code == 400
    assert "digest mismatch" in refused.json()["error"]
    assert http.head(f"/api/blobs/{wrong}").status_code == 404
    assert http.post(f"/api/blobs/{right}", content=data).status_code == 201
    assert http.head(f"/api/blobs/{right}").status_code == 200
    assert http.post(f"/api/blobs/{right}", content=data).status_code == 200
    for digest in ("sha256:../../etc", "sha256:00", "md5:" + "0" * 64):
        assert http.head(f"/api/blobs/{digest}").status_code in {400, 404}
    left = [path.name for path in (shop.home / "models" / "partial").iterdir()]
    assert not [name for name in left if name.startswith(".sha256")]


def test_a_blob_that_is_cut_off_is_sent_again(http: httpx.Client, shop: RunningServer) -> None:
    data = b"half of it" * 100_000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()

    def half() -> Iterator[bytes]:
        yield data[: len(data) // 2]
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError), httpx.Client(base_url=shop.url) as leaving:
        leaving.post(f"/api/blobs/{digest}", content=half())
    assert http.head(f"/api/blobs/{digest}").status_code == 404
    assert http.post(f"/api/blobs/{digest}", content=data).status_code == 201
    partial = shop.home / "models" / "partial"
    until(lambda: not list(partial.glob(".sha256*")), "nothing is left of the first")


def _begin_to_send(shop: RunningServer, digest: str, length: int) -> HTTPConnection:
    """A connection that has promised so many bytes, and sent none."""
    sending = HTTPConnection(urlsplit(shop.url).netloc, timeout=30)
    sending.putrequest("POST", f"/api/blobs/{digest}")
    sending.putheader("Content-Length", str(length))
    sending.endheaders()
    return sending


@pytest.mark.parametrize(("status", "word"), [(413, "larger than"), (507, "space")])
def test_a_file_that_is_too_large_is_not_taken(shop: RunningServer, status: int, word: str) -> None:
    """Neither more than a file may have, nor all the disk: others have to write too."""
    free = shutil.disk_usage(shop.home).free
    if free > LARGEST:
        pytest.skip("no file that may be sent fills this disk")
    length = LARGEST + 1 if status == 413 else free
    with contextlib.closing(_begin_to_send(shop, "sha256:" + "7" * 64, length)) as sending:
        answer = sending.getresponse()
        assert answer.status == status
        assert word in json.loads(answer.read())["error"]


def test_only_so_many_files_are_taken_at_once(http: httpx.Client, shop: RunningServer) -> None:
    data = b"one more"
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    partial = shop.home / "models" / "partial"
    with contextlib.ExitStack() as many:
        for number in range(32):
            sending = _begin_to_send(shop, f"sha256:{number:064}", 10)
            many.enter_context(contextlib.closing(sending))
        until(lambda: len(list(partial.glob(".sha256*"))) == 32, "all have begun")
        refused = http.post(f"/api/blobs/{digest}", content=data)
        assert refused.status_code == 429
        assert "files are being sent already" in refused.json()["error"]
    until(lambda: not list(partial.glob(".sha256*")), "all have left")
    assert http.post(f"/api/blobs/{digest}", content=data).status_code == 201


def test_models_that_fail_to_be_made_take_no_place(http: httpx.Client) -> None:
    for _ in range(20):
        bad = {"model": "x", "files": {"a.gguf": "sha256:" + "2" * 64}, "stream": False}
        assert http.post("/api/create", json=bad).status_code == 404
    assert http.post("/api/create", json={"model": "x", "from": "tiny"}).status_code == 200


def test_a_create_that_fails_leaves_nothing(http: httpx.Client, shop: RunningServer) -> None:
    before = {str(one.reference) for one in store_of(shop).list()}
    blob = "sha256:" + hashlib.sha256(b"no GGUF at all").hexdigest()
    http.post(f"/api/blobs/{blob}", content=b"no GGUF at all")
    lora = "sha256:" + hashlib.sha256(adapter()).hexdigest()
    http.post(f"/api/blobs/{lora}", content=adapter())
    missing = "sha256:" + "1" * 64
    bad: list[dict[str, Any]] = [
        {"files": {"x.gguf": blob}},
        {"files": {"x.gguf": lora}},
        {"files": {"x.safetensors": blob}},
        {"files": {"x.gguf": missing}},
        {"from": "tiny", "adapters": {"x.gguf": blob}},
        {"from": "tiny", "template": "{{ nothing .Like | this }}"},
    ]
    for one in bad:
        answer = http.post("/api/create", json={"model": "broken", "stream": False} | one)
        assert 400 <= answer.status_code < 500, (one, answer.text)
        assert set(answer.json()) == {"error"}
        last = http.post("/api/create", json={"model": "broken"} | one).text.splitlines()[-1]
        assert set(json.loads(last)) == {"error"}
    assert {str(one.reference) for one in store_of(shop).list()} == before


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({}, "neither 'from' or 'files'"),
        ({"from": "tiny", "files": {"a.gguf": "sha256:" + "0" * 64}}, "both 'from' and 'files'"),
        ({"from": "tiny", "quantize": "q4_K_M"}, "quantize: models are not quantised"),
        ({"from": "tiny", "renderer": "x"}, "renderer"),
        ({"from": "tiny", "parser": "x"}, "parser"),
        ({"from": "tiny", "remote_host": "x"}, "remote_host"),
        ({"from": "tiny", "parameters": {"temprature": 1}}, "parameters: there is no"),
        ({"from": "tiny", "parameters": {"top_k": "x"}}, "parameters.top_k"),
        ({"from": "tiny", "files": {"../a.gguf": "sha256:" + "0" * 64}}, "no name of a file"),
        ({"files": {"a.gguf": "sha256:00"}}, "no digest"),
        ({"from": "tiny", "messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"from": "tiny", "license": 5}, "license"),
        ({"modelfile": "SYSTEM x"}, "no FROM line"),
        ({"from": "tiny", "model": "no name!"}, "not a model name"),
        ({"from": "tiny", "model": "./x.gguf"}, "is a path"),
        ({"from": "tiny", "model": "gpt-4o-mini"}, "an alias"),
    ],
)
def test_a_create_that_makes_no_sense_is_refused(
    http: httpx.Client, more: dict[str, Any], word: str
) -> None:
    answer = http.post("/api/create", json={"model": "refused"} | more)
    assert answer.status_code in {400, 409}
    assert word in answer.json()["error"]


def test_a_model_is_copied_and_deleted(client: ollama.Client, shop: RunningServer) -> None:
    client.copy("tiny", "twin:one")
    rows = {one.model: one.digest for one in client.list().models}
    assert rows["twin:one"] == rows["tiny:latest"]
    client.delete("twin:one")
    assert "twin:one" not in names(client)
    assert (shop.home.parent / "tiny.gguf").exists()
    with pytest.raises(ollama.ResponseError, match="an alias in the settings"):
        client.delete("gpt-4o-mini")


def test_a_model_is_pulled_from_a_registry(client: ollama.Client, registry: RegistryServer) -> None:
    data = tiny_gguf(3)
    registry.add("library/fetched:latest", [("model", data), ("system", b"You are fetched.")])
    steps = list(client.pull("fetched", stream=True))
    assert steps[0].status == "pulling manifest"
    assert [step.status for step in steps[-2:]] == ["writing manifest", "success"]
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    moved = [step for step in steps if step.digest == digest]
    assert (moved[-1].total, moved[-1].completed) == (len(data), len(data))
    assert "fetched:latest" in names(client)
    assert client.pull("fetched").status == "success"  # it is here


def test_a_pull_of_what_is_not_there_is_an_error(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        client.pull("not-published")
    assert refused.value.status_code == 404
    with pytest.raises(ollama.ResponseError):
        list(client.pull("not-published", stream=True))


@pytest.mark.parametrize("field", ["insecure", "username", "password"])
def test_what_a_pull_cannot_do_is_refused(http: httpx.Client, field: str) -> None:
    asked = {"model": "fetched", field: True if field == "insecure" else "x"}
    answer = http.post("/api/pull", json=asked)
    assert answer.status_code == 400
    assert field in answer.json()["error"]


def test_nothing_is_pushed(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="no model leaves this machine") as refused:
        client.push("tiny")
    assert refused.value.status_code == 403
    with pytest.raises(ollama.ResponseError, match="no model leaves this machine"):
        list(client.push("tiny", insecure=True, stream=True))


def test_names_made_at_the_same_time_are_all_there(
    client: ollama.Client, shop: RunningServer
) -> None:
    makers = [
        threading.Thread(target=client.create, args=(f"many:{n}",), kwargs={"from_": "tiny"})
        for n in range(4)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {f"many:{n}" for n in range(4)} <= names(client)
