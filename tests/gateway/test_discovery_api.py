"""What there is to have over `/noibo/v1/`: the catalogue, the hub, and other programs' models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from noibo.client import Client
from noibo.errors import RequestFailed
from noibo.wire.importing import ImportedRow, ImportEvents
from noibo.wire.models import ProgressRow
from tests.modelstore.hub_server import HubServer, Repo, WebServer
from tests.modelstore.other_programs import OllamaTree, model, write
from tests.running import RunningServer


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of somebody who uses Ollama."""
    folder = tmp_path_factory.mktemp("user")
    OllamaTree(folder / ".ollama/models").add("llama3:8b", model("a"))
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, user: Path) -> Iterator[Client]:
    """A client of that user's server, whose hub has one repository."""
    home = tmp_path_factory.mktemp("discovery") / "home"
    repo = Repo({"tiny-Q4_0.gguf": model()}, tags=["gguf"])
    with (
        WebServer() as cdn,
        HubServer({"acme/Tiny-GGUF": repo}, cdn) as hub,
        RunningServer(home, HOME=str(user), NOIBO_FETCH_HUB=hub.url) as server,
        server.client() as connected,
    ):
        yield connected


def end_of(steps: ImportEvents) -> ImportedRow:
    *progress, last = steps
    assert all(isinstance(one, ProgressRow) for one in progress)
    assert isinstance(last, ImportedRow)
    return last


# ── the catalogue and the hub ───────────────────────────────────────────────


def test_the_catalogue_can_be_asked_for_a_family_and_a_use(client: Client) -> None:
    everything = client.catalog()
    assert len({row.family for row in everything}) > 20
    assert {row.family for row in client.catalog("llama3")} == {"llama3"}
    code = client.catalog(use="code")
    assert 0 < len(code) < len(everything)
    assert all("code" in row.abilities for row in code)
    assert client.catalog("no such family") == []
    (row,) = client.catalog("vistral")
    assert row.parameters is not None
    assert row.parameters > 7e9
    assert set(row.licence_means) == set(row.best_for) == {"en", "vi"}


def test_a_search_finds_in_the_catalogue_and_on_the_hub(client: Client) -> None:
    found = client.search("tiny")
    assert [hit.name for hit in found.hub] == ["hf.co/acme/Tiny-GGUF"]
    assert found.hub[0].formats == ["gguf"]
    assert found.hub_problem is None
    assert [row.name for row in client.search("vistral").catalogue] == ["vistral:7b"]


def test_a_search_can_leave_out_the_hub(client: Client) -> None:
    found = client.search("tiny", hub=False)
    assert (found.hub, found.hub_problem) == ([], None)


@pytest.mark.parametrize(
    ("environ", "said"),
    [({"NOIBO_OFFLINE": "1"}, "offline"), ({"NOIBO_FETCH_HUB": "http://127.0.0.1:9"}, "9")],
)
def test_a_hub_that_cannot_be_asked_is_said_and_the_catalogue_answers(
    home: Path, environ: dict[str, str], said: str
) -> None:
    with RunningServer(home, **environ) as server, server.client() as client:
        found = client.search("vistral")
    assert [row.name for row in found.catalogue] == ["vistral:7b"]
    assert found.hub == []
    assert found.hub_problem is not None
    assert said in found.hub_problem


@pytest.mark.parametrize(
    ("path", "named"),
    [("catalog?use=poetry", "use"), ("search", "words"), ("search?words=", "words")],
)
def test_a_question_that_is_not_understood_is_refused(
    client: Client, path: str, named: str
) -> None:
    answer = httpx2.get(f"{client.base_url}/noibo/v1/{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", named)


# ── other programs ──────────────────────────────────────────────────────────


def test_a_dry_run_says_what_would_be_and_an_import_can_be_used_at_once(
    client: Client, user: Path
) -> None:
    assert client.models() == []
    dry = end_of(client.import_models(dry_run=True))
    assert [(row.model, row.status) for row in dry.models] == [("llama3:8b", "imported")]
    assert (dry.dry_run, dry.usable, dry.found) == (True, 1, 1)
    with pytest.raises(RequestFailed):
        client.model("llama3:8b")

    first, *_, last = client.import_models()
    assert isinstance(first, ProgressRow)
    assert first.stage == "find"
    assert isinstance(last, ImportedRow)
    assert [(place.program, place.path) for place in last.places] == [
        ("Ollama", str(user / ".ollama/models"))
    ]
    assert client.model("llama3:8b") == "llama3:8b"
    assert client.models() == ["llama3:8b"]
    assert [row.status for row in end_of(client.import_models()).models] == ["here already"]


def test_folders_can_be_named_and_what_went_is_pruned(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path / "disk" / "x.gguf", model("x"))
    folders = [str(path.parent)]
    *steps, last = client.import_models(folders)
    notes = [one.note for one in steps if isinstance(one, ProgressRow) and one.note]
    assert notes[0] == f"Looking in {path.parent} (a folder)."
    assert isinstance(last, ImportedRow)
    assert ("x:latest", "imported") in [(row.model, row.status) for row in last.models]
    path.unlink()
    pruned = end_of(client.import_models(folders, prune=True))
    assert ("x:latest", "removed") in [(row.model, row.status) for row in pruned.models]
    assert "x:latest" not in client.models()


def test_a_folder_that_is_none_is_an_error_with_its_code(client: Client, tmp_path: Path) -> None:
    with pytest.raises(RequestFailed) as caught:
        list(client.import_models([str(tmp_path / "nowhere")]))
    assert caught.value.server_code == "not_found"
    assert caught.value.next_step
