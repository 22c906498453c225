"""The room of a worker, by real processes that try to get out of it, and by the real engine in it.

Every attempt is made twice, in the room and in the open, where it must succeed: so it can fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed
from noibo.engines.isolation import landlock
from noibo.engines.isolation.refusals import REFUSED
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.size import Size
from noibo.engines.prefill import measure_prefill
from noibo.errors import EngineError
from tests.conftest import ROOT
from tests.engines.escapes import ESCAPES, NEEDS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux can close a process off"
)

LANDLOCK, SECCOMP = 444, {"x86_64": 317, "aarch64": 277}[os.uname().machine]
REFUSALS = {"EPERM", "EACCES", "EXDEV", "EMFILE", "EFBIG", "MemoryError"}
VICTIM = """
import ctypes, time
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # anyone may trace it: Yama
print("here", flush=True)
time.sleep(600)
"""


# ── attempts ────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What there is to reach: listeners of every kind, a user's files, another process."""
    home = tmp_path_factory.mktemp("h")
    model = tmp_path_factory.mktemp("models") / "blob"
    model.write_text("weights")
    for name in ("key", "copy", "removable"):
        (home / name).write_text("a secret")
        (home / name).chmod(0o600)
    (home.parent / "view").symlink_to(model)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as closed:
            free_port = closed.getsockname()[1]
        service = stack.enter_context(socket.socket(socket.AF_UNIX))
        service.bind(str(home / "s"))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0noibo-test-{os.getpid()}")
        datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagrams.bind(str(home / "d"))
        for listener in (service, abstract):
            listener.listen(8)
        victim = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, env={"A_SECRET": "yes"}
            )
        )
        stack.callback(victim.kill)
        assert victim.stdout is not None and victim.stdout.readline()
        yield {
            "home": str(home),
            "key": str(home / "key"),
            "own_copy": str(home / "copy"),
            "removable": str(home / "removable"),
            "model": str(home.parent / "view"),
            "port": port,
            "free_port": free_port,
            "service": str(home / "s"),
            "abstract": f"noibo-test-{os.getpid()}",
            "datagrams": str(home / "d"),
            "victim": victim.pid,
        }


def attempts(
    config: dict[str, Any], folder: Path, *hidden: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """What the process said it is kept from, and what came of each attempt."""
    kept: dict[str, Any] = {}
    said: dict[str, str] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.engines.escapes", *map(str, hidden)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        for event in map(json.loads, process.stdout):
            if event["event"] == "listening":
                with socket.create_connection(("127.0.0.1", event["port"])) as asking:
                    asking.sendall(b"x")
                    assert asking.recv(1) == b"x"
            elif event["event"] == "tried":
                said[event["what"]] = event["said"]
            elif event["event"] == "isolated":
                kept = event
    assert process.returncode == 0
    return kept, said


def with_room(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    room = {"folder": str(folder), "reads": [config["model"]]}
    return config | {"isolation": room | {"memory_bytes": 512 * 2**20, "open_files": 64}}


Tried = tuple[dict[str, Any], dict[str, str]]


@pytest.fixture(scope="module")
def in_the_room(surroundings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Tried:
    folder = tmp_path_factory.mktemp("own")
    return attempts(with_room(surroundings, folder), folder)


@pytest.fixture(scope="module")
def in_the_open(
    surroundings: dict[str, Any], in_the_room: Tried, tmp_path_factory: pytest.TempPathFactory
) -> Tried:
    return attempts(surroundings, tmp_path_factory.mktemp("open"))


@pytest.mark.parametrize("attempt", ESCAPES, ids=lambda attempt: attempt.__name__)
def test_what_anyone_can_do_a_worker_cannot(
    attempt: Callable[..., None], in_the_room: Tried, in_the_open: Tried
) -> None:
    assert in_the_room[1][attempt.__name__] in REFUSALS
    assert in_the_open[1][attempt.__name__] == "done"


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.__name__)
def test_what_an_engine_needs_a_worker_can(need: Callable[..., None], in_the_room: Tried) -> None:
    assert in_the_room[1][need.__name__] == "done"


def test_a_worker_says_what_it_is_kept_from(in_the_room: Tried, in_the_open: Tried) -> None:
    kept, _ = in_the_room
    assert kept == {
        "event": "isolated",
        "files": True,
        "network": "tcp+udp",
        "signals": True,
        "abi": landlock.version(),
        "seccomp": True,
        "missing": [],
    }
    assert in_the_open[0] == {}


# ── kernels that have less ──────────────────────────────────────────────────


def test_without_landlock_files_are_open_and_the_network_is_not(
    surroundings: dict[str, Any], tmp_path: Path
) -> None:
    kept, said = attempts(with_room(surroundings, tmp_path), tmp_path, LANDLOCK)
    assert (kept["files"], kept["network"], kept["abi"]) == (False, "tcp+udp", 0)
    assert "this kernel has no Landlock" in kept["missing"][0]
    assert said["read_a_key"] == "done"
    assert {said[name] for name in ("connect_over_tcp", "send_over_udp")} == {"EPERM"}


def test_without_seccomp_tcp_and_files_are_closed_and_udp_is_not(
    surroundings: dict[str, Any], tmp_path: Path
) -> None:
    kept, said = attempts(with_room(surroundings, tmp_path), tmp_path, SECCOMP)
    assert (kept["files"], kept["network"], kept["seccomp"]) == (True, "tcp", False)
    assert "system calls, UDP" in kept["missing"][0]
    assert said["send_over_udp"] == "done"
    assert {said[name] for name in ("connect_over_tcp", "read_a_key")} == {"EACCES"}


def test_each_refused_call_stands_there_once() -> None:
    names = [name for calls in REFUSED.values() for name in calls]
    assert len(names) == len(set(names))
    for architecture in (0, 1):
        numbers = [
            numbers[architecture]
            for calls in REFUSED.values()
            for numbers in calls.values()
            if numbers[architecture] >= 0
        ]
        assert len(numbers) == len(set(numbers))


# ── the real engine ─────────────────────────────────────────────────────────

DANGEROUS = {  # what the message says: what the template then does
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "popen": "{{ cycler.__init__.__globals__.os.popen('touch popen').read() }}",
    "range": "{% for i in range(999999999) %}x{% endfor %}",
    "repeat": "{{ 'x' * 9999999999 }}",
    "double": "{% set a = namespace(s='xxxxxxxxxxxxxxxx') %}"
    "{% for i in range(64) %}{% set a.s = a.s ~ a.s %}{% endfor %}{{ a.s }}",
}
ENDLESS = (
    "{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def trapped_template() -> str:
    """A sound template, but for messages that say one of the words above."""
    traps = "".join(
        f"{{% if messages[0].content == '{word}' %}}{trap}{{% endif %}}"
        for word, trap in (DANGEROUS | {"endless": ENDLESS}).items()
    )
    return traps + CHATML


class LlamaWorker:
    """llama.cpp in its room, started as the server starts it."""

    def __init__(self, model: Path, folder: Path, template: str = "") -> None:
        self.folder = folder
        room = {"folder": str(folder), "reads": [str(model)], "open_files": 64}
        launch = LlamaCpp().launch(
            Model("m", "llama_cpp", model, template=template),
            Size(context=512, parallel=1),
            settings.Engine(threads=2),
            Speed(),
        )
        self._config = dict(launch.config) | {
            "api_key": "k",
            "isolation": room | {"memory_bytes": 700 * 2**20},
        }
        self.events: list[dict[str, Any]] = []
        self.log = folder.parent / "llama.log"
        self.url = ""

    def __enter__(self) -> LlamaWorker:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "noibo.engines.llama_cpp.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(self._config) + "\n")
        self.process.stdin.flush()
        for event in map(json.loads, self.process.stdout):
            self.events.append(event)
            if event["event"] == "ready":
                self.url = event["url"]
                break
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def ask(self, path: str, said: str, patience: float = 60) -> tuple[int, str]:
        """Status and body."""
        body = {"messages": [{"role": "user", "content": said}], "max_tokens": 1}
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        asked = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(asked, timeout=patience) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def badness(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/oom_score_adj").read_text())


@pytest.fixture(scope="module")
def llama(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaWorker]:
    folder = tmp_path_factory.mktemp("llama") / "own"
    folder.mkdir()
    with LlamaWorker(smollm2_gguf, folder, template=trapped_template()) as worker:
        yield worker


def test_the_engine_loads_and_answers_in_the_room(llama: LlamaWorker) -> None:
    assert llama.events[0]["event"] == "isolated"
    assert llama.events[0]["missing"] == []
    assert llama.ask("/v1/chat/completions", "Hi")[0] == 200
    assert asyncio.run(measure_prefill(llama.url, "k", 64)) > 0


def test_every_thread_of_the_engine_is_in_the_room(llama: LlamaWorker) -> None:
    threads = list(Path(f"/proc/{llama.process.pid}/task").iterdir())
    assert len(threads) > 3
    for thread in threads:
        status = (thread / "status").read_text().splitlines()
        assert {"NoNewPrivs:\t1", "Seccomp:\t2"} <= set(status)


def test_the_kernel_ends_a_worker_before_the_server(llama: LlamaWorker) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert llama.badness() == min(own + 500, 1000)


@pytest.mark.parametrize("word", DANGEROUS)
def test_a_template_that_reaches_out_is_an_error_of_its_request_alone(
    llama: LlamaWorker, word: str
) -> None:
    assert llama.ask("/apply-template", "Hi")[0] == 200
    status, said = llama.ask("/apply-template", word)
    assert status == 400
    assert "Unable to generate parser for this template" in said
    assert llama.ask("/apply-template", "Hi")[0] == 200
    assert list(llama.folder.iterdir()) == []
    assert psutil.Process(llama.process.pid).children() == []


def test_a_template_without_end_holds_up_nobody_else(llama: LlamaWorker) -> None:
    with pytest.raises(TimeoutError):
        llama.ask("/apply-template", "endless", patience=0.5)
    assert llama.ask("/v1/chat/completions", "Hi")[0] == 200


@pytest.mark.shared
def test_a_file_with_a_hostile_template_and_no_weights_does_not_load(
    shared: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    hostile = shared / "hostile" / "gguf" / "own_chat_template_ssti.gguf"
    with LlamaWorker(hostile, folder) as worker:
        pass
    assert worker.url == ""
    assert worker.process.returncode == 1
    assert "llama.cpp could not load" in worker.log.read_text()
    assert list(folder.iterdir()) == []


@pytest.mark.shared
@pytest.mark.heavy
def test_with_a_hostile_template_the_engine_goes_back_to_the_files_own(
    shared: Path, smollm2_gguf: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    hostile = shared / "hostile" / "gguf" / "own_chat_template_ssti.gguf"
    found = re.search(rb"\{\{ ''.__class__.*endfor %\}", hostile.read_bytes())
    assert found
    with LlamaWorker(smollm2_gguf, folder, template=found[0].decode()) as worker:
        assert "trying again with the file's own chat template" in str(worker.events)
        status, said = worker.ask("/apply-template", "Hi")
    assert status == 200
    assert "<|im_start|>user" in said
    assert list(folder.iterdir()) == []


def test_no_template_is_rendered_in_noibos_own_process() -> None:
    sources = list((ROOT / "src").rglob("*.py"))
    assert len(sources) > 100
    with_jinja = [path for path in sources if "jinja2" in path.read_text().lower()]
    assert [path.name for path in with_jinja] == ["chat_template.py"]
    users = [path.name for path in sources if "chat_template import" in path.read_text()]
    assert set(users) == {"process.py"}  # workers, closed off


# ── measuring from outside ──────────────────────────────────────────────────


def test_a_worker_that_is_gone_is_an_error_of_the_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(EngineError, match="did not read its first prompt"):
        asyncio.run(measure_prefill(f"http://127.0.0.1:{port}", "k", 8))
