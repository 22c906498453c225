"""oterm, a chat program for the terminal, driven by its keys in tmux against our Ollama port."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import environment
from tests.running import RunningServer, clean_environment, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


class Terminal:
    """A tmux session of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def start(self, command: str, environ: dict[str, str]) -> None:
        size = ["-x", "120", "-y", "40"]
        subprocess.run([*self._tmux, "new-session", "-d", *size, command], env=environ, check=True)

    def type(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def screen(self) -> str:
        shown = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False
        )
        return shown.stdout

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    assert shutil.which("tmux"), "tmux is wanted (apt-get install tmux)"
    made = Terminal(tmp_path)
    yield made
    made.close()


def test_oterm_chats_with_the_model(
    terminal: Terminal, client_server: RunningServer, tmp_path: Path
) -> None:
    environ = clean_environment(tmp_path) | {
        "OLLAMA_URL": client_server.url,
        "OLLAMA_HOST": client_server.url.removeprefix("http://"),
        "OTERM_DATA_DIR": str(tmp_path / "oterm"),
        "HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
    }
    (tmp_path / "oterm").mkdir()

    def shows(text: str) -> None:
        until(lambda: text in terminal.screen(), f"{text!r} on the screen", patience=120)

    terminal.start(str(environment("oterm").parent / "oterm"), environ)
    shows("Welcome to oterm")
    terminal.type("C-n")
    shows("smollm2:135m")  # oterm has asked what there is
    for keys in ("Tab", "smollm2:135m", "Enter", "Tab", "Enter"):
        terminal.type(keys)
        time.sleep(2)  # oterm looks its models up after each
    shows("Model: smollm2:135m  Size: 0.10 GB")
    terminal.type("BTab", "BTab", "BTab", "BTab", "Enter")
    shows("chat #1 - smollm2:135m")
    terminal.type("What is the capital of France?", "Enter")
    shows("ctx ")  # told at the end of an answer, from our counts
    question, answer = (line for line in terminal.screen().splitlines() if line[:3] == " ❯ ")
    assert question == " ❯ What is the capital of France?"
    assert len(answer) > len(" ❯ ")
