from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from noibo.cli.pull_view import Lines, Speed
from noibo.errors import (
    BadReference,
    FetchError,
    ModelNotFound,
    NoiboError,
    NotFound,
    UnknownModel,
)
from noibo.modelstore.progress import size_text
from noibo.wire.models import ProgressRow
from tests.modelstore.gguf_builder import STRING, llama
from tests.running import clean_environment, run_noibo

ESCAPE = "\x1b]0;owned\x07"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny Model.gguf"
    path.write_bytes(llama().key("general.license", STRING, f"MIT{ESCAPE}").bytes())
    return path


def test_a_file_is_added_listed_shown_and_removed(home: Path, file: Path) -> None:
    added = run_noibo("add", str(file), home=home)
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.startswith("tiny-model:latest: ")

    listed = run_noibo("list", home=home)
    head, row = listed.stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "KIND", "LICENCE", "WHERE", "ADDED"]
    assert row.startswith("tiny-model:latest")
    assert "in place" in row

    shown = run_noibo("show", "tiny-model", home=home)
    assert str(file) in shown.stdout
    assert "architecture" in shown.stdout

    removed = run_noibo("rm", "tiny-model", home=home)
    size = size_text(file.stat().st_size)
    assert removed.stdout == (
        f"tiny-model:latest is removed: 0 bytes freed, {size} stay where they lie.\n"
    )
    assert file.exists()
    assert "noibo pull smollm2:135m" in run_noibo("list", home=home).stdout


@pytest.mark.heavy
def test_several_are_removed_and_what_cannot_be_is_said(home: Path, file: Path) -> None:
    for name in ("one", "two"):
        run_noibo("add", str(file), "--name", name, home=home)
    done = run_noibo("rm", "one", "nothing", "../x", "two", home=home)
    assert done.returncode == ModelNotFound.exit_code
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["one:latest", "two:latest"]
    assert done.stderr.count("noibo: ") == 2
    assert "There is no model named nothing:latest here." in done.stderr
    assert json.loads(run_noibo("list", "--json", home=home).stdout) == []


def test_ls_is_list_and_not_another_command(home: Path, file: Path) -> None:
    run_noibo("add", str(file), home=home)
    assert run_noibo("ls", home=home).stdout == run_noibo("list", home=home).stdout
    assert " ls " not in run_noibo("--help", home=home).stdout


def test_the_name_of_a_file_that_is_here_is_not_asked_for_elsewhere(home: Path, file: Path) -> None:
    near = file.rename(file.with_name("near.gguf"))
    done = subprocess.run(
        [sys.executable, "-m", "noibo", "pull", near.name],
        env=clean_environment(home),
        cwd=near.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == BadReference.exit_code
    assert "`noibo pull ./near.gguf`" in done.stderr
    assert not (home / "egress.jsonl").exists()


def test_a_name_that_ends_like_a_file_is_told_how_files_are_written(home: Path) -> None:
    nowhere = {"NOIBO_FETCH_REGISTRY": "http://127.0.0.1:9"}
    done = run_noibo("pull", "far.GGUF", home=home, **nowhere)
    assert done.returncode == FetchError.exit_code
    assert "A file is written with a path: `noibo pull ./far.GGUF`." in done.stderr


def test_a_name_can_be_given(home: Path, file: Path) -> None:
    assert run_noibo("add", str(file), "--name", "mine:v1", home=home).stdout.startswith("mine:v1:")


@pytest.mark.heavy
def test_text_from_a_file_cannot_drive_the_terminal(home: Path, file: Path) -> None:
    run_noibo("add", str(file), home=home)
    for command in (
        ["list"],
        ["show", "tiny-model"],
        ["list", "--json"],
        ["show", "tiny-model", "--json"],
    ):
        answer = run_noibo(*command, home=home)
        assert answer.returncode == 0
        assert "MIT" in answer.stdout
        assert "\x1b" not in answer.stdout + answer.stderr


def test_json_is_json(home: Path, file: Path) -> None:
    run_noibo("add", str(file), home=home)
    (row,) = json.loads(run_noibo("list", "--json", home=home).stdout)
    assert row["name"] == "tiny-model:latest"
    assert row["path"] == str(file)
    about = json.loads(run_noibo("show", "tiny-model", "--json", home=home).stdout)
    assert about["info"]["architecture"] == "llama"
    assert row.items() <= about.items()


@pytest.mark.heavy
def test_a_changed_file_is_named_on_standard_error_and_the_rest_is_listed(
    home: Path, file: Path
) -> None:
    run_noibo("add", str(file), home=home)
    run_noibo("add", str(file), "--name", "other", home=home)
    os.utime(file, ns=(1, 1))
    other = file.with_name("b.gguf")
    other.write_bytes(file.read_bytes())
    run_noibo("add", str(other), home=home)
    answer = run_noibo("list", home=home)
    assert answer.returncode == 0
    assert answer.stderr.count("has changed") == 2
    assert len(answer.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        (["show", "nothing"], ModelNotFound, "noibo list"),
        (["rm", "nothing"], ModelNotFound, "noibo list"),
        (["show", "smollm2"], ModelNotFound, "noibo pull smollm2"),
        (["pull", "gpt-4o-mini"], UnknownModel, "noibo catalog"),
        (["pull", "../x"], BadReference, ".gguf"),
        (["show", ""], BadReference, "noibo pull"),
        (["add", "/nowhere.gguf"], NotFound, "/nowhere.gguf"),
    ],
)
def test_an_error_is_a_message_a_next_step_and_an_exit_code(
    home: Path, command: list[str], error: type[NoiboError], said: str
) -> None:
    answer = run_noibo(*command, home=home)
    assert answer.returncode == error.exit_code
    assert answer.stdout == ""
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_is_here_is_said_to_be_here_without_network(home: Path, model_store: Path) -> None:
    answer = run_noibo("pull", home=home, NOIBO_STORE_PATH=str(model_store), NOIBO_OFFLINE="1")
    assert answer.returncode == 0
    assert answer.stdout.lower().startswith("smollm2:135m: 98.4 mb, licence apache-2.0")
    assert answer.stderr == "It is here already; nothing was fetched.\n"
    assert not (home / "egress.jsonl").exists()


def test_lines_come_at_most_once_for_ten_per_cent(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines:
        lines(ProgressRow("find", note="Looking."))
        for done in range(1001):
            lines(ProgressRow("download", done, 1000))
        lines(ProgressRow("download", 400, 1000, "Starting over."))
        for done in range(1001):
            lines(ProgressRow("unpack", done, 1000))
        lines(ProgressRow("done", 1000, 1000))
    out, err = capsys.readouterr()
    assert out == ""
    said = err.splitlines()
    assert len(said) == 1 + 11 + 1 + 11
    assert said[1] == "Downloading: 0 % (0 bytes of 1.0 kB)"
    assert said[-1] == "Unpacking: 100 % (1.0 kB of 1.0 kB)"


def test_each_file_of_several_has_its_number_and_its_own_tenths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Lines() as lines:
        for number, name in enumerate(["a.gguf", "b\x1b.gguf"], 1):
            for done in (0, 5, 10):
                lines(ProgressRow("download", done, 10, "", name, number, 2))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Downloading 1/2 a.gguf: 0 % (0 bytes of 10 bytes)"
    assert said[-1] == "Downloading 2/2 b\\x1b.gguf: 100 % (10 bytes of 10 bytes)"
    assert len(said) == 6


def test_speed_and_time_left_are_as_they_were_measured() -> None:
    speed = Speed()
    assert speed.text(ProgressRow("check", 5, 10)) == ""
    row = ProgressRow("download", 10**6, 41 * 10**6, rate=2e6)
    assert speed.text(row) == "2.0 MB/s, 0:00:20 left"
    assert speed.text(ProgressRow("download", 1, None, rate=1500.0)) == "1.5 kB/s"
    slow = ProgressRow("download", 0, 7_325_000, rate=1000.0)
    assert speed.text(slow) == "1.0 kB/s, 2:02:05 left"


def test_a_terminal_gets_a_bar_and_clean_notes(home: Path) -> None:
    program = (
        "import time\n"
        "from noibo.cli.pull_view import Bar, view\n"
        "from noibo.wire.models import ProgressRow as P\n"
        "shown = view()\n"
        "assert isinstance(shown, Bar)\n"
        "with shown:\n"
        "    shown(P('find', note='[bold]Looking\\x1b[2J'))\n"
        "    for done in range(0, 1001, 100):\n"
        "        shown(P('download', done, 1000, rate=500.0))\n"
        "    time.sleep(0.5)\n"  # it is drawn ten times a second
        "    shown(P('unpack', 1, 1000))\n"
        "    shown(P('done', 1000, 1000))\n"
    )
    near, far = pty.openpty()
    environ = clean_environment(home) | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", program], stderr=far, env=environ) as process:
        os.close(far)
        seen = b""
        while True:
            try:
                data = os.read(near, 65536)
            except OSError:  # Linux says so at the end of a terminal
                break
            if not data:
                break
            seen += data
    os.close(near)
    assert process.returncode == 0
    text = seen.decode()
    assert "[bold]Looking" in text
    assert "\x1b[2J" not in text
    assert "Downloading" in text
    assert "500 bytes/s, 0:00:0" in text
    assert "Unpacking" in text
