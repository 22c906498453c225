"""A second noibo as the server elsewhere: over TLS, with a key of its own, and a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
import trustme

from noibo.egress_ledger import departures
from tests.elsewhere_address import OUTER, needs_network
from tests.gateway.admitting import first_key
from tests.running import RunningServer

pytestmark = [needs_network, pytest.mark.heavy]
EMAIL = "lan.nguyen@congty-abc.vn"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def there(
    authority: trustme.CA, model_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, str]]:
    folder = tmp_path_factory.mktemp("there")
    home = folder / "home"
    home.mkdir()
    certificate = authority.issue_cert(OUTER)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "own.pem"))
    key = first_key(home)
    with RunningServer(
        home,
        "--host",
        OUTER,
        NOIBO_STORE_PATH=str(model_store),
        NOIBO_SERVER_TLS_CERT=str(folder / "own.pem"),
    ) as server:
        yield server, key


def in_front(folder: Path, url: str, key: str, **environ: str) -> RunningServer:
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text(
        f'[models.away]\nengine = "remote"\nbase_url = "{url}/v1"\napi_key = "{key}"\n'
        'model = "smollm2:135m"\nretries = 0\n'
    )
    return RunningServer(home, NOIBO_DEFAULT_MODEL="echo", **environ)


@pytest.fixture(scope="module")
def front(
    there: tuple[RunningServer, str],
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("front")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server, key = there
    with in_front(folder, server.url, key, SSL_CERT_FILE=str(folder / "ca.pem")) as running:
        yield running


def test_a_real_answer_comes_over_tls(front: RunningServer) -> None:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        said = [{"role": "user", "content": f"Write to {EMAIL}, please."}]
        ask = {"model": "away", "messages": said, "max_tokens": 16}
        assert client.chat.completions.create(**ask).choices[0].message.content
        stream = client.chat.completions.create(**ask, stream=True)
        assert "".join(event.choices[0].delta.content or "" for event in stream)
    rows = list(departures(front.home / "egress.jsonl"))
    assert {row.outcome for row in rows} == {"ok"}
    assert all(row.destination.startswith(f"https://{OUTER}:") for row in rows)


def test_what_came_there_has_no_word_of_it(
    front: RunningServer, there: tuple[RunningServer, str]
) -> None:
    with httpx2.Client(base_url=front.url, timeout=60) as client:
        body = {"model": "away", "input": f"Write to {EMAIL}.", "max_output_tokens": 16}
        assert client.post("/v1/responses", json=body).status_code == 200
    server, _ = there
    assert EMAIL not in json.dumps([str(path) for path in server.home.iterdir()])
    assert EMAIL.encode() not in b"".join(
        path.read_bytes() for path in server.home.rglob("*") if path.is_file()
    )


def test_a_certificate_of_nobody_is_not_believed(
    there: tuple[RunningServer, str], tmp_path: Path
) -> None:
    server, key = there
    with in_front(tmp_path / "other", server.url, key) as other:
        answer = httpx2.post(
            f"{other.url}/v1/chat/completions",
            json={"model": "away", "messages": [{"role": "user", "content": "Hello"}]},
            timeout=60,
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert "its certificate is not believed" in answer.json()["error"]["message"]
    (row,) = departures(other.home / "egress.jsonl")
    assert (row.sent, row.outcome) == (0, "unreached")
