"""`noibo route score`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def scored(text: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "noibo", "route", "score", "--json", "-", *more],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_prompt_gets_a_chance_and_a_class() -> None:
    rows = [{"id": 1, "prompt": "Ai viết Truyện Kiều?"}, {"id": "b", "prompt": "Why did it fail?"}]
    done = scored("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["id"], row["class"]) for row in said] == [(1, "simple"), ("b", "complex")]
    assert all(set(row) == {"id", "p_local", "class"} for row in said)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "it is not JSON"),
        ('{"prompt": "x"}', "it has no id"),
        ('{"id": 1, "prompt": 5}', "its prompt is not a text"),
        ("[]", "it has no id"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_line_that_cannot_be_scored_is_named_and_the_others_are_scored(
    line: str, why: str
) -> None:
    done = scored(f'{{"id": 1, "prompt": "a"}}\n{line}\n{{"id": 2, "prompt": ""}}')
    assert done.returncode == 2
    assert [json.loads(row)["id"] for row in done.stdout.splitlines()] == [1, 2]
    assert "Line 2" in done.stderr
    assert why in done.stderr
    assert '"prompt"' in done.stderr  # how it should look


def test_reasons_are_told_when_asked_for() -> None:
    done = scored('{"id": 1, "prompt": "Compare both plans."}', "--reasons")
    assert any("asks to compare" in one for one in json.loads(done.stdout)["reasons"])


def test_a_prompt_may_be_half_a_character() -> None:
    done = scored('{"id": "\\ud800", "prompt": "\\udc00 why"}')
    assert (done.returncode, json.loads(done.stdout)["id"]) == (0, "\ud800"), done.stderr


def test_whoever_waits_for_a_line_gets_it() -> None:
    command = [sys.executable, "-m", "noibo", "route", "score", "--json", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b'{"id": 1, "prompt": "a"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdin.close()
        assert process.wait(60) == 0
