"""`noibo store check | gc | du`, through the server of this home and without one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.assembly import open_puller
from noibo.errors import StoreError
from noibo.modelstore.manifest import Provenance
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store
from noibo.settings import load
from tests.modelstore.file_server import FileServer
from tests.modelstore.index_server import tiny_gguf
from tests.running import RunningServer, run_noibo

pytestmark = pytest.mark.heavy  # the long stories of the store; `make test` has the short ones

GGUF = tiny_gguf(1)
OTHER = tiny_gguf(2)


@pytest.fixture
def files() -> Iterator[FileServer]:
    with FileServer(GGUF) as server:
        yield server


@pytest.fixture
def pulled(home: Path, files: FileServer) -> Path:
    """The file of the one model of this home, which was pulled."""
    return open_puller(load()).pull(files.url.replace("file.bin", "tiny.gguf")).path


@pytest.fixture(params=["alone", "served"])
def either(request: pytest.FixtureRequest, home: Path) -> Iterator[None]:
    """The server of this home runs, or none does."""
    with RunningServer(home) if request.param == "served" else contextlib.nullcontext():
        yield


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_whole_store_is_said_to_be_whole(home: Path, pulled: Path) -> None:
    done = run_noibo("store", "check", home=home)
    assert done.returncode == 0
    assert done.stdout == "1 file, 1.0 MB read.\nAll is as it should be.\n"
    assert "Checking: 100 %" in done.stderr


@pytest.mark.usefixtures("either")
def test_a_damaged_file_is_a_fault_until_it_is_mended(home: Path, pulled: Path) -> None:
    flip(pulled, 999)
    done = run_noibo("store", "check", home=home)
    assert done.returncode == StoreError.exit_code == 6
    assert f"Bad: {pulled}: its bytes have changed (used by tiny:latest)." in done.stdout
    assert "noibo store check --repair" in done.stdout
    assert done.stderr.endswith("noibo: One fault is left.\n")

    mended = run_noibo("store", "check", "--repair", home=home)
    assert (mended.returncode, "Bad:" in mended.stdout) == (0, False)
    assert f"Mended: {pulled}" in mended.stdout
    assert pulled.read_bytes() == GGUF


def test_a_file_that_is_gone_is_fetched_again(home: Path, pulled: Path) -> None:
    pulled.unlink()
    done = run_noibo("store", "check", "--json", home=home)
    assert done.returncode == 6
    (fault,) = json.loads(done.stdout)["faults"]
    assert (fault["what"], fault["models"]) == ("it is gone", ["tiny:latest"])
    assert run_noibo("store", "check", "--repair", home=home).returncode == 0
    assert pulled.read_bytes() == GGUF


def test_what_cannot_be_mended_keeps_its_exit_code(
    home: Path, pulled: Path, files: FileServer
) -> None:
    flip(pulled, 999)
    files.trouble.statuses = [(404, {})] * 20
    done = run_noibo("store", "check", "--repair", home=home)
    assert done.returncode == 6
    assert "could not be mended" in done.stdout
    files.trouble.statuses = []
    assert run_noibo("store", "check", "--repair", home=home).returncode == 0
    assert pulled.read_bytes() == GGUF


def test_a_file_in_place_that_changed_is_a_fault_that_says_what_to_do(
    home: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(OTHER)
    run_noibo("add", str(own), home=home)
    whole = run_noibo("store", "check", home=home)
    assert whole.returncode == 0
    assert "1 of them lie elsewhere" in whole.stdout
    own.write_bytes(GGUF)
    done = run_noibo("store", "check", "--repair", home=home)
    assert done.returncode == 6
    assert f"Bad: {own}: it has changed (used by own:latest)." in done.stdout
    assert "noibo rm own:latest" in done.stdout


def test_use_is_shown_for_each_model_and_shared_bytes_once(home: Path, pulled: Path) -> None:
    store = Store(home / "models")
    tiny = store.get("tiny").manifest
    store.keep(Reference("twin"), tiny.files, Provenance("the same"))
    done = run_noibo("store", "du", home=home)
    assert done.returncode == 0
    head, *rows = done.stdout.splitlines()[:3]
    assert head.split() == ["MODEL", "OWN", "SHARED", "IN", "PLACE"]
    assert [row.split()[0] for row in rows] == ["tiny:latest", "twin:latest"]
    assert all("1.0 MB" in row for row in rows)
    usage = json.loads(run_noibo("store", "du", "--json", home=home).stdout)
    assert [use["shared"] for use in usage["models"]] == [len(GGUF)] * 2
    gone = run_noibo("rm", "twin", home=home)
    assert gone.stdout == (
        "twin:latest is removed: 0 bytes freed, 1.0 MB stay, other models use them.\n"
    )
    assert run_noibo("rm", "tiny", home=home).stdout == "tiny:latest is removed: 1.0 MB freed.\n"


def test_garbage_is_named_and_removed_and_nothing_else_is(home: Path, pulled: Path) -> None:
    assert run_noibo("store", "gc", home=home).stdout == "Nothing to do.\n"
    stray = pulled.with_name(f"sha256-{'0' * 64}")
    stray.write_bytes(bytes(5000))
    part = home / "models" / "partial" / "left.part"
    part.write_bytes(bytes(7000))
    assert "Left over, blob: 1 file" in run_noibo("store", "du", home=home).stdout
    done = run_noibo("store", "gc", home=home)
    assert done.returncode == 0
    assert f"blob: {stray}" in done.stdout
    assert "One is removed" in done.stdout
    assert not stray.exists()
    assert part.exists()
    assert f"partial: {part}" in run_noibo("store", "gc", "--partial", home=home).stdout
    assert not part.exists()
    assert pulled.read_bytes() == GGUF


def test_an_empty_store_is_whole_and_small(home: Path) -> None:
    assert run_noibo("store", "check", home=home).stdout.startswith("0 files, 0 bytes read.")
    assert run_noibo("store", "gc", home=home).stdout == "Nothing to do.\n"
    assert "0 bytes in " in run_noibo("store", "du", home=home).stdout
    assert not (home / "models").exists()
