"""The conversation on a real pseudo-terminal: keys go in, what a person would see comes out."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from noibo import Client
from tests.running import RunningServer, clean_environment, run_noibo, until

PATIENCE_S = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
ON_A_TERMINAL = (
    "import os, sys; os.login_tty(0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'noibo', *sys.argv[1:]])"
)
# The prompt asks for pasted text to be marked while it waits for a line, and only then.
WAITS, WAITS_NO_MORE = "\x1b[?2004h", "\x1b[?2004l"
PROMPT, ENTERED = "⟨prompt⟩", "⟨entered⟩"
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"

pytestmark = pytest.mark.usefixtures("no_process_left")


class Terminal:
    """`noibo run …` as the program in a terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._arguments = arguments or ("echo",)
        self._environ = clean_environment(home) | {
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }
        self._raw = b""
        self._read = 0

    def __enter__(self) -> Self:
        self._master, inside = pty.openpty()
        termios.tcsetwinsize(inside, (50, 4000))  # no line is wrapped
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "run", *self._arguments],
            env=self._environ,
            stdin=inside,
            stdout=inside,
            stderr=inside,
        )
        os.close(inside)
        try:
            self.expect(PROMPT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def type(self, line: str) -> None:
        """Type a line, see it appear, and press Enter."""
        self.press(line)
        self.expect(line.rstrip()[-30:])
        self.press("\r")
        self.expect(ENTERED)

    def ask(self, line: str) -> str:
        """Type a line; what is said until the next prompt."""
        self.type(line)
        return self.expect(PROMPT)

    def expect(self, text: str) -> str:
        """Read until `text` is on the screen; what stood there before it."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._screen().find(text, self._read)) < 0:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self._rest()!r}"
            if not self._more(0.2) and self.process.poll() is not None:
                raise AssertionError(f"the program ended before {text!r}: {self._rest()!r}")
        before = self._screen()[self._read : found]
        self._read = found + len(text)
        return before

    def end(self) -> int:
        """Read to the end of the program; its exit code."""
        until(lambda: not self._more(0.05) and self.process.poll() is not None, "the program ends")
        return self.process.returncode

    def _more(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self._raw += chunk
        return bool(chunk)

    def _screen(self) -> str:
        """Everything shown so far, without codes; a prompt's begin and end as words of ours."""
        text = self._raw.decode(errors="ignore")
        return ESCAPES.sub("", text.replace(WAITS, PROMPT).replace(WAITS_NO_MORE, ENTERED))

    def _rest(self) -> str:
        return self._screen()[self._read :]


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server with echo, for all conversations that do not harm it."""
    with RunningServer(tmp_path_factory.mktemp("repl") / "home") as server:
        yield server


@pytest.fixture
def own(one_server: RunningServer) -> Iterator[Path]:
    """The home of that server, as if nothing had been said there yet."""
    yield one_server.home
    for said in ("history", "conversations"):
        path = one_server.home / said
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.fixture
def repl(own: Path) -> Iterator[Terminal]:
    """A conversation with echo."""
    with Terminal(own) as terminal:
        yield terminal


def kept(home: Path, name: str) -> list[str]:
    """What was said and answered in a saved conversation."""
    file = home / "conversations" / f"{name}.json"
    return [turn["content"] for turn in json.loads(file.read_text("utf-8"))["turns"]]


def requests_of(home: Path) -> list[int]:
    """Answers under way, worker by worker."""
    with Client(json.loads((home / "server.json").read_text())["url"]) as client:
        return [row.requests for row in client.workers()]


# ── talking ─────────────────────────────────────────────────────────────────


def test_an_answer_is_streamed(repl: Terminal) -> None:
    repl.ask('/set x_echo {"text": "một hai ba bốn", "delay_ms": 300}')
    repl.type("đếm")
    repl.expect("một")
    assert "bốn" not in repl._rest()
    repl.expect("hai ba bốn")


def test_a_real_model_answers_in_the_conversation(real_server: RunningServer) -> None:
    with Terminal(
        real_server.home, "smollm2:135m", "--temperature", "0", "--max-tokens", "12"
    ) as repl:
        answer = repl.ask("Xin chào! Bạn tên là gì?")
        assert len(answer.strip()) > 3
        stats = repl.ask("/stats")
        assert "smollm2:135m" in stats
        assert "answer            12 tokens" in stats
        assert "tokens/s" in stats
        assert "ended by          length" in stats


def test_vietnamese_goes_in_and_comes_out_whole(repl: Terminal, own: Path) -> None:
    said = "Tiếng Việt: ẵ ợ ữ đ Đ ỹ"
    assert said in repl.ask(said)
    repl.ask("/save tiếng-việt")
    assert kept(own, "tiếng-việt") == [said, said]


def test_the_conversation_goes_along_with_each_question(repl: Terminal) -> None:
    repl.ask("one two")
    repl.ask("three")
    # one two (asked), one two (answered), three: five words
    assert "prompt            5 tokens" in repl.ask("/stats")


def test_control_characters_of_an_answer_do_not_reach_the_terminal(repl: Terminal) -> None:
    repl.ask(r'/set x_echo {"text": "a\u001b]0;owned\u0007b\u009b31mc\rd"}')
    repl.ask("go")
    assert b"\x1b]0;owned" not in repl._raw
    assert "\x9b".encode() not in repl._raw
    assert "a]0;ownedb31mcd" in repl._screen()


# ── commands ────────────────────────────────────────────────────────────────


def test_help_lists_every_command(repl: Terminal) -> None:
    shown = repl.ask("/help")
    for name in ("/model", "/system", "/set", "/save", "/load", "/stats", "/clear", "/bye"):
        assert name in shown


def test_an_unknown_command_is_an_error_and_the_conversation_goes_on(repl: Terminal) -> None:
    assert "There is no command /hlep." in repl.ask("/hlep")
    assert "still here" in repl.ask("still here")


@pytest.mark.heavy
def test_model_lists_and_changes_models(home: Path, smollm2_gguf: Path) -> None:
    assert run_noibo("add", str(smollm2_gguf), "--name", "one", home=home).returncode == 0
    with RunningServer(home) as server, Terminal(server.home) as repl:
        assert "one:latest" in repl.ask("/model")
        assert "There is no model named nosuch" in repl.ask("/model nosuch")
        assert "Now one:latest; the conversation goes on." in repl.ask("/model one")
        assert "* one:latest" in repl.ask("/model")
        assert "Now echo" in repl.ask("/model echo")


def test_system_sets_shows_and_clears_the_system_prompt(repl: Terminal) -> None:
    assert "No system prompt." in repl.ask("/system")
    assert "Be brief" in repl.ask("/system Be brief")
    assert "Be brief" in repl.ask("/system")
    repl.ask("hi")
    assert "prompt            3 tokens" in repl.ask("/stats")
    assert "No system prompt." in repl.ask('/system ""')


def test_set_changes_what_is_asked_for(repl: Terminal) -> None:
    assert '{"max_tokens": 2}' in repl.ask("/set max_tokens 2")
    repl.ask("one two three")
    assert "ended by          length" in repl.ask("/stats")
    assert "{}" in repl.ask("/set max_tokens")
    assert "stream is not set this way." in repl.ask("/set stream false")


def test_a_field_that_the_engine_refuses_is_an_error(real_server: RunningServer) -> None:
    with Terminal(real_server.home, "smollm2:135m", "--max-tokens", "4") as repl:
        repl.ask('/set response_format {"type": "no such type"}')
        assert "response_format" in repl.ask("hi")
        repl.ask("/set response_format")
        assert repl.ask("hi").strip()


def test_stats_before_any_answer_says_so(repl: Terminal) -> None:
    assert "No answer yet." in repl.ask("/stats")


def test_clear_forgets_the_conversation(repl: Terminal) -> None:
    repl.ask("one two three")
    assert "Forgotten." in repl.ask("/clear")
    repl.ask("four")
    assert "prompt            1 tokens" in repl.ask("/stats")


# ── keeping ─────────────────────────────────────────────────────────────────


def test_a_saved_conversation_is_taken_up_in_a_new_process(repl: Terminal, own: Path) -> None:
    repl.ask("/system Ngắn gọn")
    repl.ask("một hai")
    assert "Saved 2 messages as trò chuyện." in repl.ask("/save trò chuyện")
    with Terminal(own) as later:
        assert "Loaded 2 messages; talking to echo." in later.ask("/load trò chuyện")
        assert "Ngắn gọn" in later.ask("/system")
        later.ask("ba")
        # the system prompt (2), the question and the answer (4), the new question
        assert "prompt            7 tokens" in later.ask("/stats")


def test_what_was_said_is_for_its_owner_only(repl: Terminal, own: Path) -> None:
    repl.ask("secret")
    repl.ask("/save mine")
    for file in (own / "history", own / "conversations" / "mine.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [b"{", b'{"model": "echo", "system": "", "turns": "abc"}', b'{"model": "echo"}', b"\xff\xfe"],
    ids=["cut", "other shape", "something missing", "no text"],
)
def test_a_damaged_saved_conversation_is_an_error_message(
    repl: Terminal, own: Path, damage: bytes
) -> None:
    repl.ask("/save broken")
    (own / "conversations" / "broken.json").write_bytes(damage)
    assert "broken.json is damaged" in repl.ask("/load broken")
    assert "still here" in repl.ask("still here")


def test_a_conversation_that_was_not_saved_is_an_error_that_lists_those_that_were(
    repl: Terminal,
) -> None:
    repl.ask("/save one")
    shown = repl.ask("/load two")
    assert "Nothing is saved as two." in shown
    assert "Saved: one." in shown


def test_a_name_that_would_leave_the_folder_is_refused(repl: Terminal, own: Path) -> None:
    assert "That is no name for a conversation." in repl.ask("/save ../evil")
    assert "That is no name for a conversation." in repl.ask("/save")
    assert not (own / "evil.json").exists()


def test_a_conversation_that_cannot_be_written_is_an_error_message(
    repl: Terminal, own: Path
) -> None:
    (own / "conversations").write_text("a file where the folder should be")
    assert "cannot be written" in repl.ask("/save one")
    assert "still here" in repl.ask("still here")


# ── typing ──────────────────────────────────────────────────────────────────


def test_the_up_arrow_brings_the_last_line_back_in_a_new_process(repl: Terminal, own: Path) -> None:
    repl.ask("một câu hỏi dài")
    repl.press(CTRL_D)
    assert repl.end() == 0
    with Terminal(own) as later:
        later.press(UP)
        later.expect("một câu hỏi dài")
        later.press("\r")
        later.expect(PROMPT)
        later.ask("/save again")
    assert kept(own, "again") == ["một câu hỏi dài"] * 2


def test_text_between_triple_quotes_is_one_message(repl: Terminal, own: Path) -> None:
    repl.type('"""dòng một')
    repl.expect(PROMPT)
    repl.type("dòng hai\\")
    repl.expect(PROMPT)
    repl.ask('dòng ba"""')
    repl.ask("/save lines")
    assert kept(own, "lines")[0] == "dòng một\ndòng hai\\\ndòng ba"


def test_a_backslash_at_the_end_of_a_line_goes_on_in_the_next(repl: Terminal, own: Path) -> None:
    repl.type("một \\")
    repl.expect(PROMPT)
    repl.ask("hai")
    repl.ask("/save lines")
    assert kept(own, "lines")[0] == "một \nhai"


def test_alt_enter_begins_a_new_line(repl: Terminal, own: Path) -> None:
    repl.press("một\x1b\rhai")
    repl.expect("hai")
    repl.press("\r")
    repl.expect(PROMPT)
    repl.ask("/save lines")
    assert kept(own, "lines")[0] == "một\nhai"


# ── stopping ────────────────────────────────────────────────────────────────


def test_ctrl_c_during_an_answer_stops_it_and_frees_its_slot(repl: Terminal, own: Path) -> None:
    repl.ask('/set x_echo {"delay_ms": 50}')
    repl.type("word " * 400 + "end")
    repl.expect("word word word")
    assert requests_of(own) == [1]
    repl.press(CTRL_C)
    repl.expect("(stopped)")
    repl.expect(PROMPT)
    until(lambda: requests_of(own) == [0], "the slot is free")
    (shown,) = json.loads(run_noibo("ps", "--json", home=own).stdout)["workers"]
    assert shown["requests"] == 0
    assert "ended by          you" in repl.ask("/stats")
    repl.ask('/set x_echo {"text": "an answer"}')
    assert "an answer" in repl.ask("and now?")
    repl.ask("/save after")
    asked, answered, *_ = kept(own, "after")
    assert answered.startswith("word word")
    assert len(answered) < len(asked)


def test_ctrl_c_before_the_first_word_stops_the_answer(repl: Terminal, own: Path) -> None:
    repl.ask('/set x_echo {"prefill_ms": 600000}')
    repl.type("wait for it")
    until(lambda: requests_of(own) == [1], "the request is under way")
    repl.press(CTRL_C)
    repl.expect("(stopped)")
    repl.expect(PROMPT)
    until(lambda: requests_of(own) == [0], "the slot is free")


@pytest.mark.heavy
def test_ctrl_c_during_an_answer_of_the_real_model_frees_its_slot(
    real_server: RunningServer,
) -> None:
    with Terminal(real_server.home, "smollm2:135m", "--max-tokens", "2000") as repl:
        repl.ask("/set ignore_eos true")
        repl.type("Tell me a very long story about the sea.")
        until(lambda: sum(requests_of(real_server.home)) == 1, "the answer is under way")
        repl.press(CTRL_C)
        repl.expect("(stopped)")
        repl.expect(PROMPT)
        until(lambda: sum(requests_of(real_server.home)) == 0, "the slot is free")


def test_ctrl_c_at_the_prompt_does_not_leave(repl: Terminal) -> None:
    repl.press("half a line")
    repl.expect("half a line")
    repl.press(CTRL_C)
    repl.expect("Ctrl-D or /bye to leave.")
    repl.expect(PROMPT)
    assert "still here" in repl.ask("still here")


@pytest.mark.parametrize("way", [CTRL_D, "/bye\r"], ids=["ctrl-d", "bye"])
def test_leaving_ends_with_exit_code_0(repl: Terminal, way: str) -> None:
    repl.press(way)
    assert repl.end() == 0
    assert "Traceback" not in repl._screen()


def test_a_worker_that_dies_in_an_answer_is_an_error_and_the_conversation_goes_on(
    repl: Terminal,
) -> None:
    repl.ask('/set x_echo {"die_after": 2}')
    shown = repl.ask("one two three four")
    assert "while it answered" in shown
    repl.ask("/set x_echo")
    assert "still here" in repl.ask("still here")


@pytest.mark.heavy
def test_a_server_that_dies_in_an_answer_is_an_error_message(home: Path) -> None:
    with RunningServer(home) as server, Terminal(home) as repl:
        repl.ask('/set x_echo {"delay_ms": 50}')
        repl.type("word " * 400 + "end")
        repl.expect("word word word")
        server.process.kill()
        shown = repl.expect(PROMPT)
        assert "No noibo server answers" in shown
        repl.press(CTRL_D)
        assert repl.end() == 0
