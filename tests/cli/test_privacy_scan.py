import io
import json
import subprocess
import sys

import pytest

from noibo.cli import privacy_scan as command
from noibo.errors import UsageError
from noibo.privacy.detector import STRUCTURED, Detector

TEXT = "Anh gọi 0912345678 nhé\nSTK: 0011004234567 vcb"


def answered(*lines: str | bytes) -> list[dict]:
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    return [json.loads(line) for line in command.answers(encoded, Detector(STRUCTURED).find_all)]


def refused(*lines: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        answered(*lines)
    return caught.value


def test_each_line_is_answered_in_its_order():
    lines = [json.dumps({"id": at, "text": f"sđt 09123456{at:02}"}) for at in range(30)]
    answers = answered(*lines)
    assert [one["id"] for one in answers] == list(range(30))
    assert answers[0]["spans"] == [{"start": 4, "end": 14, "label": "PHONE"}]


def test_what_is_said_again_is_answered_as_before(tmp_path, capsys):
    path = tmp_path / "again.jsonl"
    texts = [f"sđt 09123456{at:02}" for at in range(50)] * 4
    lines = (json.dumps({"id": at, "text": text}) for at, text in enumerate(texts))
    path.write_text("\n".join(lines), encoding="utf-8")
    command.scan(str(path), json=True)
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["id"] for one in answers] == list(range(200))
    assert all(one["spans"] == [{"start": 4, "end": 14, "label": "PHONE"}] for one in answers)


def test_other_keys_empty_lines_and_a_byte_order_mark_do_no_harm():
    line = '{"id": "a", "text": "", "spans": [], "template": 4}\n'
    assert answered(b"\xef\xbb\xbf" + line.encode(), "\n", line) == [{"id": "a", "spans": []}] * 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing", "Line 2 is not JSON"),
        ('{"id": 1, "text": "a"', "Line 2 is not JSON"),
        ("[1]", "Line 2 is not an object"),
        ('{"text": "a"}', 'Line 2 has no "id"'),
        ('{"id": 1}', 'Line 2: "text" is missing'),
        ('{"id": 1, "text": 5}', 'Line 2: "text" is not a string'),
        (b'{"id": 1, "text": "\xff"}', "Line 2 is not UTF-8"),
        ("[" * 100_000, "Line 2 is nested too deeply"),
        ('{"id": ' + "9" * 5000 + ', "text": "a"}', "Line 2 has a number of thousands of digits"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line, said):
    error = refused('{"id": 0, "text": "a"}', line)
    assert error.message.startswith(said)
    assert error.next_step


def test_lone_halves_of_characters_are_answered_too():
    assert answered('{"id": "\\ud800", "text": "\\ud800 0912345678"}')[0]["spans"]


def test_places_are_counted_in_characters_also_behind_those_of_two_units():
    (answer,) = answered('{"id": 1, "text": "😀😀 gọi 0912345678"}')
    assert answer["spans"] == [{"start": 7, "end": 17, "label": "PHONE"}]


def test_a_closed_input_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="no standard input"):
        command.scan("-", json=True)


def test_a_bad_line_far_down_is_named_after_all_before_it_were_answered(tmp_path, capsys):
    path = tmp_path / "many.jsonl"
    line = json.dumps({"id": 1, "text": "vâng ạ " * 50}) + "\n"
    path.write_text(line * 3000 + "{\n" + line, encoding="utf-8")
    with pytest.raises(UsageError, match="Line 3001 is not JSON"):
        command.scan(str(path), json=True)
    assert len(capsys.readouterr().out.splitlines()) == 3000


def test_answers_come_while_the_input_is_still_open():
    process = subprocess.Popen(
        [sys.executable, "-m", "noibo", "privacy", "scan", "--json", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    with process:
        for name in ("first", "second"):
            process.stdin.write(json.dumps({"id": name, "text": "sđt 0912345678"}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == name
        process.stdin.close()
    assert process.returncode == 0


def test_a_person_sees_what_was_found_and_where(tmp_path, capsys):
    path = tmp_path / "letter.txt"
    path.write_text(TEXT, encoding="utf-8")
    command.scan(str(path))
    printed = capsys.readouterr().out
    assert "1:9  PHONE         0912345678\n" in printed
    assert "2:6  BANK_ACCOUNT  0011004234567\n" in printed
    assert printed.endswith("2 found: BANK_ACCOUNT 1, PHONE 1\n")


def test_on_a_terminal_the_text_itself_is_shown_without_its_control_characters(
    tmp_path, monkeypatch
):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    path = tmp_path / "letter.txt"
    path.write_text("sđt 0912345678 \x1b]0;title\x07 [bold]xong[/bold]", encoding="utf-8")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    command.scan(str(path))
    shown = terminal.getvalue()
    assert "[PHONE]" in shown
    assert "[bold]xong[/bold]" in shown
    assert "\x1b]0;" not in shown


def test_a_text_without_findings_says_so(tmp_path, capsys):
    path = tmp_path / "poem.txt"
    path.write_text("Trăng vào cửa sổ đòi thơ", encoding="utf-8")
    command.scan(str(path))
    assert capsys.readouterr().out == "Nothing found.\n"


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"missing\.txt cannot be read"):
        command.scan(str(tmp_path / "missing.txt"))
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        command.scan(str(path))
