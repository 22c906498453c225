"""Bodies of every kind, by the schemas of the APIs: never a failure of the server.

The short form runs always; the long one, with many bodies for each route, when there is time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis

from tests.conformance.probing import MODES, Probe
from tests.running import RunningServer

# Stops what is being tested.
_NOT = {"/noibo/v1/shutdown"}
SHORT, LONG = 2, 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that fetches nothing; its model is echo."""
    home = tmp_path_factory.mktemp("conformance") / "home"
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo", NOIBO_OFFLINE="true") as running:
        running.load("echo")
        yield running


def openais(shared: Path) -> Any:
    path = shared / "conformance" / "openai_openapi_subset.json"
    return schemathesis.openapi.from_dict(json.loads(path.read_text()))


def ollamas(shared: Path) -> Any:
    return schemathesis.openapi.from_path(shared / "conformance" / "ollama_openapi.yaml")


def ours(server: RunningServer) -> Any:
    return schemathesis.openapi.from_url(server.url + "/noibo/v1/openapi.json")


def probe(server: RunningServer, name: str, shared: Path, examples: int) -> Probe:
    if name == "openai":
        found = Probe(server.url + "/v1")
        found.schema(openais(shared), examples)
    elif name == "ollama":
        found = Probe(server.url)
        found.schema(ollamas(shared), examples)
    else:
        found = Probe(server.url)
        found.schema(ours(server), examples, skip=_NOT)
    return found


@pytest.mark.shared
@pytest.mark.parametrize("name", ["openai", "ollama"])  # ours: test_bad_bodies.py goes by it
def test_no_body_of_a_schema_or_beside_it_breaks_the_server(
    server: RunningServer, shared: Path, name: str
) -> None:
    probe(server, name, shared, SHORT).require_well()


@pytest.mark.heavy
@pytest.mark.shared
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["openai", "ollama", "ours"])
def test_hundreds_of_bodies_of_every_kind_break_nothing(
    server: RunningServer, shared: Path, name: str
) -> None:
    found = probe(server, name, shared, LONG)
    print(name, dict(sorted(found.counted.items())))
    found.require_well()


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_real_engine_is_not_broken_either(real_server: RunningServer) -> None:
    found = Probe(real_server.url, model="smollm2:135m", most_tokens=2)
    schema = ours(real_server)
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/messages"):
        for mode in MODES:
            found.operation(schema[path]["POST"], mode, LONG // 2)
    print(dict(sorted(found.counted.items())))
    found.require_well()
