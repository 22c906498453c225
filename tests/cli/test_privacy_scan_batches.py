"""Long inputs that several processes look through."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from noibo.cli.privacy_scan_batches import BATCH, WORTH_IT, Answer, Batch, answered, batches

ROOT = Path(__file__).parents[2]
HERE = os.getpid()
LINE = b"x" * 99 + b"\n"


def count(batch: Batch) -> Answer:
    """The number of every line, and who looked."""
    who = "here" if os.getpid() == HERE else "there"
    return Answer("".join(f"{batch.first + at} {who}\n" for at in range(len(batch.lines))))


def stop_there(batch: Batch) -> Answer:
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return count(batch)


def numbers(answers) -> list[int]:
    return [int(line.split()[0]) for one in answers for line in one.text.splitlines()]


@pytest.fixture
def long_file(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(LINE * (2 * WORTH_IT // len(LINE)))
    with path.open("rb") as source:
        yield source


def test_lines_are_cut_nowhere_and_counted_through():
    text = b"a\r\n\n" + b"b" * (3 * BATCH) + b"\n" + LINE * 9000 + b"end"
    found = list(batches(io.BufferedReader(io.BytesIO(text))))
    assert b"\n".join(line for batch in found for line in batch.lines) == text
    assert [batch.first for batch in found] == [
        1 + sum(len(earlier.lines) for earlier in found[:at]) for at in range(len(found))
    ]


def test_what_ends_with_a_line_has_no_line_after_it():
    (batch,) = batches(io.BytesIO(b"a\nb\n"))
    assert batch.lines == [b"a", b"b"]


def test_a_long_input_is_answered_in_order_by_other_processes(long_file):
    # In a process of its own, as a command is one: this one has run other tests, and what they
    # left in it would be handed to processes that it begins.
    code = (
        "import sys\n"
        "from noibo.cli.privacy_scan_batches import answered\n"
        "from tests.cli.test_privacy_scan_batches import count\n"
        "for answer in answered(open(sys.argv[1], 'rb'), count, 2):\n"
        "    sys.stdout.write(answer.text)\n"
    )
    command = [sys.executable, "-c", code, long_file.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert numbers([Answer(done.stdout)]) == list(range(1, 2 * WORTH_IT // len(LINE) + 1))
    assert {line.split()[1] for line in done.stdout.splitlines()} == {"there"}


def test_a_short_input_is_answered_by_this_process():
    (answer,) = answered(io.BytesIO(LINE * 3), count, 2)
    assert answer.text == "1 here\n2 here\n3 here\n"


def test_a_process_that_is_killed_loses_no_line(long_file):
    found = numbers(answered(long_file, stop_there, 2))
    assert found == list(range(1, 2 * WORTH_IT // len(LINE) + 1))


def test_who_waits_for_the_answers_before_it_writes_more_gets_them():
    lines = 3 * WORTH_IT // 100
    code = (
        "import sys, time\n"
        f"sys.stdout.write(('x' * 99 + '\\n') * {lines})\n"
        "sys.stdout.flush()\n"
        "time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        found = 0
        for answer in answered(writer.stdout, count, 2):
            found += len(numbers([answer]))
            if found == lines:
                writer.terminate()
    assert found == lines
