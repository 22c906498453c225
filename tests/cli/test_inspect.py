import io
import json
import subprocess
import sys

import pytest

from noibo.cli import inspect as command
from noibo.errors import BadModelFile, ModelNotFound
from tests.modelstore.gguf_builder import F32, F64, STRING, U32, Gguf, llama
from tests.modelstore.gguf_cases import ACCEPTED

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\n\u202egnp"


def write(tmp_path, file: Gguf | bytes):
    path = tmp_path / "model.gguf"
    path.write_bytes(file if isinstance(file, bytes) else file.bytes())
    return path


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_facts_are_printed_as_plain_text(tmp_path, capsys):
    command.inspect(write(tmp_path, llama()))
    printed = capsys.readouterr().out
    assert "context length    2,048 tokens\n" in printed
    assert "Q4_K_M, mostly Q4_0" in printed
    assert "\x1b" not in printed
    assert "None" not in printed


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_good_file_can_be_shown(tmp_path, capsys, name):
    path = write(tmp_path, ACCEPTED[name])
    command.inspect(path)
    assert "GGUF version" in capsys.readouterr().out
    command.inspect(path, json=True)
    assert json.loads(capsys.readouterr().out)["info"]["kind"]


def test_control_characters_are_escaped(tmp_path, capsys):
    file = Gguf()
    for key in ("general.name", "general.architecture", "general.license", "adapter.type"):
        file.key(key, STRING, ESCAPES)
    file.key("tokenizer.chat_template." + ESCAPES, STRING, "x")
    file.list_key("general.tags", STRING, [ESCAPES])
    command.inspect(write(tmp_path, file))
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.splitlines())
    assert "\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\r\\n\\u202egnp" in printed


def test_a_terminal_gets_a_table_without_markup_from_the_file(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    command.inspect(write(tmp_path, llama().key("general.organization", STRING, "[red]" + ESCAPES)))
    printed = terminal.getvalue()
    assert "[red]\\x1b[31mred" in printed
    assert "\x1b]0" not in printed
    assert "\x1b[31m" not in printed


def test_a_long_template_is_shortened_in_the_table_and_whole_in_json(tmp_path, capsys):
    template = "{{ x }}" * 1000
    path = write(tmp_path, llama().key("tokenizer.chat_template", STRING, template))
    command.inspect(path)
    printed = capsys.readouterr().out
    assert "… (7,000 characters)" in printed
    assert max(map(len, printed.splitlines())) < 300
    command.inspect(path, json=True)
    assert json.loads(capsys.readouterr().out)["info"]["chat_template"] == template


def test_json_is_valid_for_any_metadata(tmp_path, capsys):
    file = (
        llama()
        .key("nan", F32, float("nan"))
        .key("infinity", F64, float("-inf"))
        .key("bytes", STRING, b"\xff\x00\xfe")
        .key(ESCAPES, STRING, ESCAPES)
        .list_key("nans", F32, [float("nan")] * 20)
        .list_key("broken", STRING, [b"\xff"])
    )
    command.inspect(write(tmp_path, file), json=True)
    printed = capsys.readouterr().out

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    metadata = json.loads(printed, parse_constant=refuse)["metadata"]
    assert (metadata["nan"], metadata["infinity"]) == ("nan", "-inf")
    assert metadata["bytes"] == "\ufffd\0\ufffd"
    assert metadata[ESCAPES] == ESCAPES
    assert metadata["nans"] == {"type": "float32", "count": 20, "first": ["nan"] * 16}
    assert printed.isascii()


def test_json_shortens_a_text_no_model_needs(tmp_path, capsys):
    path = write(tmp_path, Gguf().key("tokenizer.chat_template", STRING, "x" * (2**20 + 1)))
    command.inspect(path, json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["info"]["chat_template"] is None
    assert printed["metadata"]["tokenizer.chat_template"]["count"] == 2**20 + 1


def test_json_lists_the_tensors(tmp_path, capsys):
    command.inspect(write(tmp_path, llama()), json=True)
    tensors = json.loads(capsys.readouterr().out)["tensors"]
    assert tensors[1] == {
        "name": "output_norm.weight",
        "shape": [8],
        "type": "F32",
        "offset": 160,
        "bytes": 32,
    }


def test_a_narrow_encoding_is_no_traceback(tmp_path):
    path = write(tmp_path, Gguf().key("general.name", STRING, "Tiếng Việt").key("n", U32, 1))
    for options in ([], ["--json"]):
        child = subprocess.run(
            [sys.executable, "-m", "noibo", "inspect", path, *options],
            capture_output=True,
            env={"PYTHONIOENCODING": "ascii", "PATH": "", "HOME": str(tmp_path)},
            check=True,
        )
        assert b"Ti\\u1ebfng" in child.stdout


def test_errors_are_left_to_main(tmp_path):
    with pytest.raises(ModelNotFound):
        command.inspect(tmp_path / "none.gguf")
    with pytest.raises(BadModelFile):
        command.inspect(write(tmp_path, b"<html>"))


def test_a_bad_file_ends_with_exit_code_5_and_what_to_do(tmp_path):
    path = write(tmp_path, b"version https://git-lfs.github.com/spec/v1\n")
    child = subprocess.run(
        [sys.executable, "-m", "noibo", "inspect", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 5
    assert child.stdout == ""
    assert "git lfs pull" in child.stderr
    assert "Traceback" not in child.stderr
