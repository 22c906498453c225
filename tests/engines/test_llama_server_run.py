"""A llama-server of the user's in a child process: a program that is started, logs and answers as
one does, and behind it, for a real model, the real engine."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from noibo import settings
from noibo.engines.engine import Model, Verb
from noibo.engines.llama_server.adapter import LlamaServer
from noibo.engines.memory.book import Book
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.errors import NotSupported, WorkerStartFailed
from tests.engines.elsewhere import HELLO, raw
from tests.engines.supervised import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]
HERE = Path(__file__).parent
LIMITS = settings.Engine(ctx_size=512, parallel=2, start_stall_s=20, stop_grace_s=3)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """The program, with the help text of a year, in a folder that no worker may read by itself."""

    def make(year: str) -> Path:
        source = (HERE / "llama_server_program.py").read_text()
        text = (HERE / "transcripts" / f"llama_server_help_{year}.txt").read_text()
        path = tmp_path / "bin" / "llama-server"
        path.parent.mkdir(exist_ok=True)
        said = source.replace('HELP = "HELP"', f"HELP = {text!r}")
        path.write_text(f"#!{sys.executable}\n{said}")
        path.chmod(0o755)
        return path

    return make


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


Start = Callable[[Path], Supervisor]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    made: list[Supervisor] = []

    def supervisor(program: Path) -> Supervisor:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        tree = settings.Settings(engine=LIMITS, home=home)
        tuning, book = Tuning(home / "tuning.json"), Book(home / "memory.json")
        engines = {"llama_server": LlamaServer(str(program))}
        made.append(Supervisor(engines, tree, tuning, book))
        return made[-1]

    yield supervisor
    for one in made:
        await one.close()


@pytest.fixture
def small(tmp_path: Path) -> Model:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    return Model("small", "llama_server", path, 1_000_000, 2048)


@pytest.mark.parametrize("year", ["2024", "2025"])
async def test_it_is_started_trusted_asked_and_ended(
    year: str, program: Callable[[str], Path], start: Start, small: Model
) -> None:
    supervisor = start(program(year))
    async with new_session() as session, supervisor.lease(Claim(small)) as worker:
        up = Upstream(worker, session)
        assert await up.tokenise("a b c") == [0, 1, 2]
        async with up.generate("/v1/chat/completions", raw(messages=HELLO)) as response:
            assert b"Say hello." in await response.read()
        assert await up.busy_slots() == 0
        assert worker.process is not None
        children = psutil.Process(worker.process.pid).children()
        assert worker.held_bytes > 0
        for one in [worker.process.pid, *(child.pid for child in children)]:
            assert worker.key not in " ".join(psutil.Process(one).cmdline())
        assert worker.key not in "\n".join(worker.process.log())
        assert worker.facts()["placement"]["program"] == "llama-server 6923 (76af40aaa)"
    await supervisor.close()
    assert not [child for child in children if lives(child)]


async def test_a_file_that_it_cannot_load_is_said_in_its_words(
    program: Callable[[str], Path], start: Start, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"nothing")
    supervisor = start(program("2025"))
    with pytest.raises(WorkerStartFailed) as error:
        async with supervisor.lease(Claim(Model("bad", "llama_server", bad, 10**6, 2048))):
            pass
    assert "invalid magic" in error.value.lines


async def test_when_it_dies_the_worker_dies(
    program: Callable[[str], Path], start: Start, small: Model
) -> None:
    supervisor = start(program("2025"))
    async with supervisor.lease(Claim(small)) as worker:
        assert worker.process is not None
        (child,) = psutil.Process(worker.process.pid).children()
        child.kill()
        await eventually(lambda: worker.fault is not None)
        assert worker.fault is not None
        assert "SIGKILL" in worker.fault.text


async def test_texts_are_not_scored_by_a_program(
    program: Callable[[str], Path], small: Model
) -> None:
    with pytest.raises(NotSupported):
        LlamaServer(str(program("2025"))).serving(small, Verb.SCORE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can close a process off")
async def test_it_is_kept_from_files_and_from_the_net(
    program: Callable[[str], Path], start: Start, small: Model, tmp_path: Path
) -> None:
    secret = tmp_path / "a_key_of_the_user"
    secret.write_text("a secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path, port = program("2025"), listener.getsockname()[1]
        source = path.read_text().replace('SECRET = ""', f"SECRET = {str(secret)!r}")
        path.write_text(source.replace("LISTENER = 0", f"LISTENER = {port}"))
        async with start(path).lease(Claim(small)) as worker:
            assert worker.process is not None
            (said,) = [one for one in worker.process.log() if one.startswith("tried: ")]
            kept = worker.facts()["placement"]["isolation"]
    expected = {"read": kept["files"], "connect": kept["network"], "listen": kept["abi"] >= 4}
    for name, outcome in json.loads(said.removeprefix("tried: ")).items():
        assert outcome in ({"EACCES", "EPERM"} if expected[name] else {"done"}), name
    assert not kept["seccomp"] or "new sockets" in " ".join(kept["missing"])


async def test_the_real_engine_behind_it_answers(
    program: Callable[[str], Path], start: Start, smollm2_gguf: Path
) -> None:
    supervisor = start(program("2025"))
    model = Model("m", "llama_server", smollm2_gguf, 134_515_008, 8192)
    async with new_session() as session, supervisor.lease(Claim(model)) as worker:
        up = Upstream(worker, session)
        asked = raw(messages=HELLO, max_tokens=4, temperature=0)
        async with up.generate("/v1/chat/completions", asked) as response:
            answer = json.loads(await response.read())
        assert answer["usage"]["completion_tokens"] == 4
