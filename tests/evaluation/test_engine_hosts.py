"""The hosts of `benchmarks.engines`: whole or made anew, and gone with all that they started."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from benchmarks import engine_hosts
from benchmarks.engine_hosts import MARK, Host, _made, started
from benchmarks.engines import ENGINES, hosts, options

from tests.running import until

pytestmark = pytest.mark.heavy  # importing it is
FAMILY = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
class Models(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Models).serve_forever()
"""


def runs(pid: int) -> bool:
    """Nobody may be there to take note of its end."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_host_goes_with_all_that_it_started(tmp_path: Path) -> None:
    with started(Host("family", [sys.executable, "-c", FAMILY, "{port}"]), tmp_path):
        pid = int((tmp_path / "family.log").read_text().split()[1])
        assert runs(pid)
    until(lambda: not runs(pid), "its child is gone", patience=20)


@pytest.mark.parametrize("without", [(), ("wheel",), ("openvino", "vllm"), ENGINES])
def test_every_engine_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    for name in ENGINES:
        monkeypatch.setattr(engine_hosts, name, lambda *_, name=name, **__: Host(name, ()))
    found = hosts(Path("x.gguf"), compile_it=False, with_vllm=True, without=without)
    assert [host.name for host in found] == [name for name in ENGINES if name not in without]


def test_an_engine_that_is_none_cannot_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert options().parse_args(["--without", "wheel", "vllm"]).without == ["wheel", "vllm"]
    with pytest.raises(SystemExit):
        options().parse_args(["--without", "vLLM"])
    assert "openvino" in capsys.readouterr().err


def test_an_environment_of_other_packages_is_made_anew(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    assert not _made(python, ["x==1"])
    (tmp_path / MARK).write_text("x==1")
    assert _made(python, ["x==1"])
    assert not _made(python, ["x==2"])
