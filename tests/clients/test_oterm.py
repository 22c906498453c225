"""oterm, a chat program for the terminal, driven by its keys in tmux against our Ollama port."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import ollama
import pytest

from tests.clients.conftest import environment
from tests.running import RunningServer, clean_environment, until

QUESTION = "Tell me of Paris."
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


class Terminal:
    """A tmux session of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def start(self, command: str, environ: dict[str, str]) -> None:
        size = ["-x", "120", "-y", "100"]
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


def answer_on(screen: str) -> list[str]:
    """The words of the answer: from the second mark on, each line up to what stands beside it."""
    _, _, rest = screen.partition(f" ❯ {QUESTION}")
    _, _, answer = rest.partition("\n ❯ ")
    return answer.split()


def begun(words: list[str], whole: list[str]) -> int:
    """How many of the first words of the whole are there."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(words, whole, strict=False))
    return len(list(same))


@pytest.fixture
def brief(client_server: RunningServer) -> Iterator[str]:
    """A model whose answers are short: by itself the small one may write to the end of its window.
    Its store is kept from run to run, so that it must not stay there."""
    name = "brief:latest"
    with ollama.Client(host=client_server.url) as client:
        client.create(model=name, from_="smollm2:135m", parameters={"num_predict": 120})
        yield name
        client.delete(name)


def test_oterm_shows_an_answer_while_it_is_written(
    terminal: Terminal, client_server: RunningServer, brief: str, tmp_path: Path
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
    shows(brief)  # oterm has asked what there is
    for keys in ("Tab", brief, "Enter", "Tab", "Enter"):
        terminal.type(keys)
        time.sleep(2)  # oterm looks its models up after each
    shows(f"Model: {brief}  Size: 0.10 GB")
    terminal.type("BTab", "BTab", "BTab", "BTab", "Enter")
    shows(f"chat #1 - {brief}")
    terminal.type(QUESTION, "Enter")
    screens = []

    def ended() -> bool:
        screens.append(terminal.screen())
        return "ctx " in screens[-1]  # told at the end of an answer, from our counts

    until(ended, "an answer's end on the screen", patience=300)
    # a long answer scrolls the question out
    seen = [answer_on(screen) for screen in screens if f" ❯ {QUESTION}" in screen]
    lengths = [begun(words, seen[-1]) for words in seen]
    assert len(set(lengths)) > 4, lengths  # an answer in one piece has two: none of it, and all
