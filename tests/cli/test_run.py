"""`noibo run`, `ps` and `stop` as a user types them: what they print, and the server they start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from noibo.errors import RequestFailed
from tests.cli.conftest import marked
from tests.cli.test_doctor import foreign_server
from tests.modelstore.other_programs import model
from tests.modelstore.registry_server import RegistryServer
from tests.running import RunningServer, clean_environment, run_noibo, until

Done = subprocess.CompletedProcess[str]


class Shell:
    """Runs `noibo` with one home and one port, as one user does."""

    def __init__(self, home: Path, port: int, mark: str) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._mark = mark
        self._environ = {"NOIBO_SERVER_PORT": str(port)}

    def __call__(self, *arguments: str, stdin: str | None = None, **environ: str) -> Done:
        return run_noibo(*arguments, home=self.home, stdin=stdin, **({**self._environ} | environ))

    def start(self, *arguments: str, stdin: str = "") -> subprocess.Popen[str]:
        """The same, without waiting for it."""
        with tempfile.TemporaryFile("w+") as said:
            said.write(stdin)
            said.seek(0)
            return subprocess.Popen(
                [sys.executable, "-m", "noibo", *arguments],
                env=clean_environment(self.home) | self._environ,
                stdin=said,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def server(self) -> psutil.Process:
        """The one server of this shell."""
        (found,) = self.servers()
        return found

    def servers(self) -> list[psutil.Process]:
        return [one for one in marked(self._mark) if one.cmdline()[-2:] == ["noibo", "serve"]]

    def worker(self) -> psutil.Process:
        (row,) = json.loads(self("ps", "--json").stdout)["workers"]
        return psutil.Process(row["pid"])


@pytest.fixture
def noibo(home: Path, port: int, no_process_left: str) -> Iterator[Shell]:
    """A shell; the server that it started is stopped in the end, whatever happened."""
    shell = Shell(home, port, no_process_left)
    try:
        yield shell
    finally:
        for server in shell.servers():
            server.terminate()
        psutil.wait_procs(shell.servers(), timeout=30)


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with echo, for questions to which it does not matter which server answers."""
    with RunningServer(tmp_path_factory.mktemp("run") / "home") as server:
        yield server


@pytest.fixture
def served(one_server: RunningServer, port: int, no_process_left: str) -> Shell:
    """A shell that finds a server running."""
    return Shell(one_server.home, port, no_process_left)


# ── one question ────────────────────────────────────────────────────────────


def test_a_prompt_on_the_command_line_is_answered_in_plain_text(served: Shell) -> None:
    done = served("run", "echo", "Why", "is the sky blue?")
    assert (done.returncode, done.stdout) == (0, "Why is the sky blue?\n")


def test_a_prompt_from_a_pipe_is_answered(served: Shell) -> None:
    done = served("run", "echo", stdin="Tiếng Việt có dấu: ẵ ợ ữ đ\n")
    assert (done.returncode, done.stdout) == (0, "Tiếng Việt có dấu: ẵ ợ ữ đ\n")


def test_a_prompt_and_a_pipe_are_joined(served: Shell) -> None:
    done = served("run", "echo", "Summarise:", stdin="line one\nline two\n")
    assert (done.returncode, done.stdout) == (0, "Summarise:\n\nline one\nline two\n")


def test_nothing_to_ask_is_an_error_and_starts_no_server(noibo: Shell) -> None:
    done = noibo("run", "echo", stdin=" \n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is nothing to ask" in done.stderr
    assert 'noibo run MODEL "your question"' in done.stderr
    assert noibo.servers() == []


def test_options_reach_the_model(served: Shell) -> None:
    done = served("run", "echo", "one two three four", "--max-tokens", "2")
    assert done.stdout == "one two\n"


@pytest.mark.heavy
def test_an_answer_that_the_encoding_cannot_say_is_escaped(noibo: Shell) -> None:
    done = noibo("run", "echo", "được", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "\\u0111\\u01b0\\u1ee3c\n")


def test_control_characters_of_an_answer_reach_a_pipe_unchanged(served: Shell) -> None:
    done = served("run", "echo", "\x1b[31mred\x1b[0m")
    assert done.stdout == "\x1b[31mred\x1b[0m\n"


@pytest.mark.heavy
def test_the_real_model_answers_the_same_twice_at_temperature_0(
    real_server: RunningServer,
) -> None:
    ask = ["run", "smollm2:135m", "What is the capital of France?", "--temperature", "0"]
    first, second = (run_noibo(*ask, "--max-tokens", "24", home=real_server.home) for _ in "ab")
    assert (first.returncode, first.stderr) == (0, "")
    assert len(first.stdout.split()) > 3
    assert first.stdout == second.stdout


@pytest.mark.heavy
def test_the_real_model_obeys_the_system_prompt_option(real_server: RunningServer) -> None:
    ask = ["run", "smollm2:135m", "Who are you?", "--temperature", "0", "--max-tokens", "30"]
    plain = run_noibo(*ask, home=real_server.home)
    pirate = run_noibo(*ask, "--system", "You are a pirate.", home=real_server.home)
    assert plain.returncode == pirate.returncode == 0
    assert plain.stdout != pirate.stdout


# ── errors ──────────────────────────────────────────────────────────────────


def test_a_name_that_nobody_knows_is_asked_for_and_the_error_says_what_to_do(
    served: Shell,
) -> None:
    nowhere = {"NOIBO_FETCH_REGISTRY": "http://127.0.0.1:9"}
    done = served("run", "smolm2:135m", "hi", **nowhere)
    assert (done.returncode, done.stdout) == (7, "")
    assert "http://127.0.0.1:9" in done.stderr
    assert "noibo pull smollm2:135m" in done.stderr


def test_a_model_that_is_missing_is_fetched_first_by_the_server(
    home: Path, port: int, no_process_left: str
) -> None:
    """What the registry has is too small for the engine: it comes, and the worker says so."""
    with RegistryServer() as registry:
        registry.add("library/tiny:1b", [("model", model())])
        name = f"127.0.0.1:{registry.port}/library/tiny:1b"
        with RunningServer(home) as server, server.client() as client:
            done = Shell(home, port, no_process_left)("run", name, "hi")
            assert (done.returncode, done.stdout) == (RequestFailed.exit_code, "")
            assert f"Asking 127.0.0.1:{registry.port}" in done.stderr
            assert "did not start: its worker (llama_cpp)" in done.stderr
            assert [pull.state for pull in client.pulls()] == ["done"]
            assert [one.name for one in client.stored_models().models] == [name]


@pytest.mark.heavy
def test_offline_a_model_that_is_not_here_is_not_fetched(noibo: Shell) -> None:
    done = noibo("run", "smollm2:135m", "hi", NOIBO_OFFLINE="1")
    assert (done.returncode, done.stdout) == (4, "")
    assert "noibo is offline" in done.stderr


@pytest.mark.heavy
def test_a_file_that_the_engine_refuses_is_an_error_with_its_reason(
    noibo: Shell, tmp_path: Path, smollm2_gguf: Path
) -> None:
    data = smollm2_gguf.read_bytes()[: 20 * 2**20]
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data)
    assert noibo("add", str(cut)).returncode == 5
    swapped = tmp_path / "swapped.gguf"
    swapped.write_bytes(smollm2_gguf.read_bytes().replace(b"tokenizer.ggml.merges", b"x" * 21, 1))
    assert noibo("add", str(swapped), "--name", "swapped").returncode == 0
    done = noibo("run", "swapped", "hi")
    assert (done.returncode, done.stdout) == (10, "")
    assert "did not start: its worker (llama_cpp)" in done.stderr
    assert "Its last lines:" in done.stderr
    assert "Traceback" not in done.stderr


# ── the server in the background ────────────────────────────────────────────


def test_a_server_is_started_once_and_said_so_on_standard_error(noibo: Shell) -> None:
    first = noibo("run", "echo", "one")
    assert first.stdout == "one\n"
    assert f"Started a noibo server in the background on {noibo.url}" in first.stderr
    assert "`noibo stop` ends it" in first.stderr
    server = noibo.server()
    second = noibo("run", "echo", "two")
    assert (second.stdout, second.stderr) == ("two\n", "")
    assert noibo.server() == server


@pytest.mark.heavy
def test_two_runs_at_the_same_moment_start_one_server(noibo: Shell) -> None:
    both = [noibo.start("run", "echo", word) for word in ("one", "two")]
    told = [process.communicate(timeout=90) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out for out, _ in told] == ["one\n", "two\n"]
    assert sum("Started a noibo server" in err for _, err in told) == 1
    assert len(noibo.servers()) == 1


@pytest.mark.heavy
def test_after_kill_9_of_the_server_the_next_run_starts_another(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    server, worker = noibo.server(), noibo.worker()
    server.kill()
    until(lambda: not worker.is_running(), "the worker went with its server")
    assert (noibo.home / "server.json").exists()
    done = noibo("run", "echo", "two")
    assert done.stdout == "two\n"
    assert "Started a noibo server" in done.stderr
    assert noibo.server() != server


@pytest.mark.heavy
@pytest.mark.parametrize(
    "stale",
    [
        '{"url": "http://127.0.0.1:9", "pid": 4194304999}',
        '{"url": "http://127.0.0.1:9", "pid": %d}',
        "{",
    ],
    ids=["no such process", "another's process", "cut"],
)
def test_a_stale_server_file_is_no_obstacle(noibo: Shell, stale: str) -> None:
    noibo.home.mkdir()
    (noibo.home / "server.json").write_text(stale.replace("%d", str(os.getpid())))
    done = noibo("run", "echo", "here")
    assert (done.returncode, done.stdout) == (0, "here\n")
    assert json.loads((noibo.home / "server.json").read_text())["url"] == noibo.url


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("command", [["run", "echo", "hi"], ["ps"], ["stop"]], ids=" ".join)
def test_a_port_held_by_another_web_server_is_a_clear_error(
    noibo: Shell, command: list[str], status: int
) -> None:
    with foreign_server(noibo.port, status):
        done = noibo(*command)
    assert (done.returncode, done.stdout) == (9, "")
    assert f"Something answers at {noibo.url}, but it is not noibo" in done.stderr
    assert "Choose another port" in done.stderr
    assert noibo.servers() == []


def test_the_server_survives_ctrl_c_in_the_terminal_that_started_it(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    assert os.getsid(noibo.server().pid) != os.getsid(0)


# ── ps and stop ─────────────────────────────────────────────────────────────


@pytest.mark.heavy
def test_ps_shows_the_server_and_what_is_loaded(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    shown = noibo("ps")
    assert shown.returncode == 0
    assert f"noibo serves on {noibo.url}" in shown.stdout
    assert "echo  echo  ready" in shown.stdout
    (row,) = json.loads(noibo("ps", "--json").stdout)["workers"]
    assert (row["model"], row["state"], row["requests"]) == ("echo", "ready", 0)


def test_ps_without_a_server_says_in_json_that_nothing_runs(noibo: Shell) -> None:
    done = noibo("ps", "--json")
    nothing = {"workers": [], "queue": None}
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, nothing, "")


@pytest.mark.heavy
def test_stop_with_a_name_unloads_that_model_only(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    server, worker = noibo.server(), noibo.worker()
    done = noibo("stop", "echo")
    assert (done.returncode, done.stdout) == (0, "stopped echo\n")
    until(lambda: not worker.is_running(), "the worker is gone")
    assert "No model is loaded" in noibo("ps").stdout
    assert noibo.server() == server


@pytest.mark.heavy
def test_stop_of_a_model_that_does_not_run_says_which_do(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    noibo("stop", "echo")
    done = noibo("stop", "echo")
    assert (done.returncode, done.stdout) == (10, "")
    assert "echo is not running" in done.stderr


def test_stop_ends_the_server_and_its_workers(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    server, worker = noibo.server(), noibo.worker()
    done = noibo("stop")
    assert (done.returncode, done.stdout) == (0, f"stopped the server on {noibo.url}\n")
    until(lambda: not server.is_running() and not worker.is_running(), "both are gone")
    assert not (noibo.home / "server.json").exists()
    assert noibo("ps").returncode == 9


@pytest.mark.heavy
def test_ctrl_c_during_an_answer_frees_its_slot(noibo: Shell) -> None:
    noibo("run", "echo", "one")
    process = noibo.start("run", "echo", stdin="word " * 1_000_000)
    until(lambda: bool(_requests(noibo)), "the answer is under way")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130
    until(lambda: _requests(noibo) == 0, "its slot is free")


def _requests(noibo: Shell) -> int:
    rows = json.loads(noibo("ps", "--json").stdout)["workers"]
    return sum(row["requests"] for row in rows)
