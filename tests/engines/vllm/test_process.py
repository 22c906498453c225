"""The process beside vLLM, with a server in vLLM's place that starts another process as it does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers of vLLM run elsewhere")
# Says that it serves, and answers only when it may; its other process ends by nobody's end.
STANDS_IN = """#!{python}
import http.server, os, subprocess, sys, time
said = sys.argv
sys.path.insert(0, os.environ["PYTHONPATH"])  # as vLLM imports its middleware
name, _, part = said[said.index("--middleware") + 1].rpartition(".")
assert isinstance(getattr(__import__(name), part), type)
assert os.environ["VLLM_API_KEY"] not in " ".join(said)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("other", other.pid, flush=True)
if "VLLM_CACHE_ROOT" in os.environ:
    open(os.path.join(os.environ["VLLM_CACHE_ROOT"], "compiled"), "w").close()
print("INFO: Application startup complete.", flush=True)
while not os.path.exists({may!r}):
    time.sleep(0.02)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
place = ("127.0.0.1", int(said[said.index("--port") + 1]))
http.server.HTTPServer(place, Handler).serve_forever()
"""


class Beside:
    """The process, as its parent sees it."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.may = folder / "may"
        python = folder / "python"
        python.write_text(STANDS_IN.format(python=sys.executable, may=str(self.may)))
        python.chmod(0o700)
        self._log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "noibo.engines.vllm.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            start_new_session=True,  # as every worker
        )
        config = {"alias": "m", "python": str(python), "arguments": [], "variables": {}}
        config |= {"template": "", "api_key": "secret"} | more
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(config) + "\n")
        self.process.stdin.flush()

    def event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def family(self) -> list[psutil.Process]:
        """What it started, once the last of them is there."""
        deadline = time.monotonic() + 30
        while "startup complete" not in self.log():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return psutil.Process(self.process.pid).children(recursive=True)

    def leave(self) -> None:
        """As the server does, or what is left of it when it was killed."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    made = Beside(tmp_path)
    try:
        yield made
    finally:
        made.leave()
        made.close()


def test_it_is_ready_when_it_answers_and_not_when_it_says_so(beside: Beside) -> None:
    assert beside.event()["event"] == "progress"
    beside.family()  # its log says that it serves
    beside.may.touch()
    found = beside.event()
    assert found["event"] == "ready"
    assert found["url"].startswith("http://127.0.0.1:")
    assert "secret" not in beside.log()


def test_nothing_of_vllm_outlives_the_server(beside: Beside) -> None:
    family = beside.family()
    assert len(family) == 2
    beside.leave()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can close off a process")
def test_closed_off_it_writes_to_what_it_keeps(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = tmp_path_factory.mktemp("elsewhere") / "kept"
    own = {"folder": str(tmp_path), "reads": [], "runs": [str(tmp_path / "python")]}
    closed = {"isolation": own | {"talks": True}, "keeps": [str(kept)]}
    beside = Beside(tmp_path, variables={"VLLM_CACHE_ROOT": str(kept)}, **closed)
    try:
        assert beside.event()["event"] == "isolated"
        beside.family()
        assert (kept / "compiled").exists(), beside.log()
    finally:
        beside.leave()
        beside.close()
