from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from noibo.cli import main
from noibo.cli.importing import import_models
from noibo.errors import NotFound
from tests.modelstore.gguf_builder import STRING, llama
from tests.modelstore.other_programs import HubRepo, OllamaTree, model, write
from tests.running import RunningServer, run_noibo

pytestmark = pytest.mark.heavy  # the long stories of the store; `make test` has the short ones

Noibo = Callable[..., CompletedProcess[str]]


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """The home of somebody who uses other programs."""
    return tmp_path / "user"


@pytest.fixture
def noibo(home: Path, user: Path) -> Noibo:
    def run(*arguments: str, **environ: str) -> CompletedProcess[str]:
        return run_noibo(*arguments, home=home, HOME=str(user), **environ)

    return run


def test_the_summary_is_that_of_the_list_of_commands() -> None:
    assert (import_models.__doc__ or "").splitlines()[0] == main.COMMANDS["import"][2]


def test_models_are_imported_listed_and_here_the_next_time(noibo: Noibo, user: Path) -> None:
    OllamaTree(user / ".ollama/models").add("llama3:8b", model("a"))
    HubRepo(user / ".cache/huggingface/hub", "acme/tiny").snapshot({"t-Q4_0.gguf": model("b")})
    dry = noibo("import", "--dry-run")
    assert "would be imported" in dry.stdout
    assert "would be used in place, 0 bytes copied." in dry.stdout
    assert "No models yet" in noibo("list").stdout
    done = noibo("import")
    assert (done.returncode, done.stderr) == (0, "")
    head, first, second, _, last = done.stdout.splitlines()
    assert head.split() == ["MODEL", "SIZE", "FROM", "STATUS"]
    assert first.split() == ["llama3:8b", "768", "bytes", "Ollama", "imported"]
    assert second.split()[-3:] == ["Hugging", "Face", "imported"]
    assert last == "2 models, 1.5 kB used in place, 0 bytes copied."
    assert noibo("list").stdout.count("in place") == 2
    assert noibo("import").stdout.count("here already") == 2


def test_a_folder_is_named_instead(noibo: Noibo, user: Path, tmp_path: Path) -> None:
    OllamaTree(user / ".ollama/models").add("llama3:8b", model("a"))
    write(tmp_path / "disk/x.gguf", model("x"))
    said = noibo("import", str(tmp_path / "disk")).stdout
    assert "x:latest" in said
    assert "llama3" not in said
    answer = noibo("import", str(tmp_path / "nowhere"))
    assert answer.returncode == NotFound.exit_code
    assert "Traceback" not in answer.stderr


def test_nothing_found_says_what_to_do(noibo: Noibo) -> None:
    said = noibo("import").stdout
    assert said.startswith("0 models, 0 bytes used in place")
    assert "noibo import FOLDER" in " ".join(said.split())


def test_json_is_json(noibo: Noibo, user: Path) -> None:
    OllamaTree(user / ".ollama/models").add("llama3:8b", model("a"))
    seen = json.loads(noibo("import", "--json").stdout)
    assert seen["usable"] == 1
    assert seen["copied"] == 0
    assert seen["models"] == [
        {"model": "llama3:8b", "size": 768, "program": "Ollama", "status": "imported", "note": ""}
    ]
    assert seen["places"] == [{"program": "Ollama", "path": str(user / ".ollama/models")}]


def test_what_went_is_said_and_pruned(noibo: Noibo, user: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "disk/x.gguf", model("x"))
    noibo("import", str(path.parent))
    path.unlink()
    assert "gone: its file is gone" in noibo("import").stdout
    assert "removed" in noibo("import", "--prune").stdout
    assert "No models yet" in noibo("list").stdout


def test_a_licence_is_refused_in_words(noibo: Noibo, tmp_path: Path) -> None:
    write(tmp_path / "disk/x.gguf", model("x", "cc-by-nc-4.0"))
    answer = noibo("import", str(tmp_path / "disk"), NOIBO_LICENCES_ALLOWED="permissive")
    assert answer.returncode == 0
    assert "refused:" in answer.stdout
    assert "No models yet" in noibo("list").stdout


def test_the_table_fits_and_text_of_strangers_cannot_drive_the_terminal(
    noibo: Noibo, user: Path, tmp_path: Path
) -> None:
    tree = OllamaTree(user / ".ollama/models")
    manifest = tree.manifest([tree.layer("model", model())])
    tree.entry("\x1b]0;owned\x07\nb:1", manifest)
    tree.add("a" * 80 + ":" + "b" * 80, model())
    publisher = user / ".lmstudio/models/Some-Publisher-Of-Many-Models"
    write(publisher / "A-Very-Long-Name-Of-A-Model-8B-Instruct-GGUF/a-Q4_K_M.gguf", b"GGUF")
    licence = llama().key("general.license", STRING, "\x1b[2J\x9b evil " * 20).bytes()
    write(publisher / "b\x1b[31m/b-Q4_K_M.gguf", licence)
    for limits in ("", "permissive"):
        answer = noibo("import", NOIBO_LICENCES_ALLOWED=limits, COLUMNS="200")
        assert answer.returncode == 0
        assert "\x1b" not in answer.stdout + answer.stderr
        assert "\x9b" not in answer.stdout
        assert max(map(len, answer.stdout.splitlines())) <= 100
        assert len(answer.stdout.splitlines()) > 5


@pytest.mark.parametrize("is_served", [False, True])
def test_a_name_that_is_no_text_is_no_traceback(
    noibo: Noibo, home: Path, user: Path, tmp_path: Path, is_served: bool
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/disk\xfe"))
    write(folder / os.fsdecode(b"\xff.gguf"), model())
    server = RunningServer(home, HOME=str(user)) if is_served else contextlib.nullcontext()
    with server:
        for where in (folder, folder.parent):
            for more in ((), ("--json",)):
                answer = noibo("import", str(where), *more)
                assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.heavy
def test_a_model_of_ollama_answers_with_its_own_system_template_and_stop(
    noibo: Noibo, home: Path, user: Path, smollm2_gguf: Path
) -> None:
    """The real model, in a tree of Ollama's whose template asks what the system prompt says."""
    digest = smollm2_gguf.name.removeprefix("sha256-")
    tree = OllamaTree(user / ".ollama/models")
    (tree.path / "blobs").mkdir(parents=True)
    (tree.path / "blobs" / f"sha256-{digest}").symlink_to(smollm2_gguf)
    size = smollm2_gguf.stat().st_size
    weights = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    template = b"<|im_start|>user\n{{ .System }}<|im_end|>\n<|im_start|>assistant\n"
    small = [
        tree.layer("template", template),
        tree.layer("system", b"What is the capital of France?"),
    ]
    stop = tree.layer("params", b'{"stop": ["Paris"], "temperature": 0}')
    tree.entry("asks:1", tree.manifest([weights | {"size": size}, *small, stop]))
    assert "asks:1" in noibo("import").stdout
    with RunningServer(home) as server, server.client() as client:
        answer = client.chat("Count from one to ten.", "asks:1", max_tokens=24).text
    assert "capital of France" in answer
    assert "Paris" not in answer
