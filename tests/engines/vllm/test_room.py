"""A worker whose processes talk to each other is closed off from files all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from noibo.engines.isolation import landlock

TRIES = """
import json, socket, sys
from pathlib import Path
from noibo.engines.isolation import room
folder, model, secret, keeps = map(Path, sys.argv[1:])
wanted = {"folder": str(folder), "reads": [str(model)], "talks": True, "keeps": [str(keeps)]}
kept = room.enter(wanted)
def tried(step):
    try:
        step()
    except OSError as exc:
        return exc.strerror
    return "done"
def by_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
def by_name():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(folder / "s"))
print(json.dumps({
    "by port": tried(by_port),
    "by name": tried(by_name),
    "its model": tried(model.read_bytes),
    "a secret": tried(secret.read_bytes),
    "a file of others": tried(lambda: secret.with_name("new").write_text("x")),
    "what it keeps": tried(lambda: (keeps / "new").write_text("x")),
    "missing": kept.missing,
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can close off a process")
def test_its_processes_talk_and_read_nothing_else(tmp_path: Path) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    folder, model, secret = tmp_path / "own", tmp_path / "model", tmp_path / "secret"
    folder.mkdir()
    for file in (model, secret):
        file.write_text("x")
    keeps = tmp_path / "kept" / "for this model"  # is made for it
    command = [sys.executable, "-c", TRIES, *map(str, (folder, model, secret, keeps))]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = json.loads(said)
    assert (found["by port"], found["by name"], found["its model"]) == ("done", "done", "done")
    assert (found["a secret"], found["a file of others"]) == ("Permission denied",) * 2
    assert (found["what it keeps"], (keeps / "new").read_text()) == ("done", "x")
    assert "network: its processes talk to each other by sockets" in found["missing"]
