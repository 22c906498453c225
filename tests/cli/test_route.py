"""`noibo route explain`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running import run_noibo

HYBRID = """
[routing]
strategy = "hybrid"
[virtual."auto"]
candidates = ["echo", "big"]
[virtual."seeing"]
candidates = ["big"]
[models."big"]
engine = "remote"
base_url = "https://api.example.com/v1"
ctx_size = 1000
[prices."big"]
input = 2.0
output = 8.0
"""
HARD = "Design a fault tolerant database over three regions and prove that it is consistent"


@pytest.fixture
def house(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "noibo.toml").write_text(HYBRID)
    return home


def explained(home: Path, *arguments: str, **environ: str) -> dict[str, object]:
    done = run_noibo("route", "explain", *arguments, "--json", home=home, **environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_hard_question_goes_elsewhere_and_an_easy_one_does_not(house: Path) -> None:
    hard, easy = explained(house, HARD), explained(house, "Thủ đô của Việt Nam là gì?")
    assert (hard["model"], hard["class"]) == ("big", "complex")
    assert (easy["model"], easy["class"], easy["local"]) == ("echo", "simple", True)


def test_what_must_stay_stays_and_it_is_said_why(house: Path) -> None:
    found = explained(house, HARD, "--label", "secret")
    assert found["model"] == "echo"
    ((out),) = found["ruled_out"]  # type: ignore[misc]
    assert (out["model"], out["reasons"][0]["code"]) == ("big", "label")


def test_nothing_is_sent_and_nothing_written_down(house: Path) -> None:
    explained(house, HARD)
    assert not (house / "egress.jsonl").exists()


def test_it_speaks_vietnamese(house: Path) -> None:
    done = run_noibo("route", "explain", HARD, "--lang", "vi", home=house)
    assert "câu hỏi phức tạp được chuyển cho mô hình lớn hơn" in done.stdout
    assert "phức tạp: mô hình nội bộ trả lời đúng" in done.stdout
    assert "nhãn internal là mặc định" in done.stdout
    english = ("asks", "harder", "easier", "nobody", "label")
    assert not [word for word in english if word in done.stdout]


def test_a_long_prompt_is_read_from_standard_input(house: Path) -> None:
    done = run_noibo("route", "explain", "-", "--json", home=house, stdin="words and words " * 600)
    assert json.loads(done.stdout)["model"] == "echo"
    assert "context" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("hi", "--model", "echo"), 2, "is no virtual model"),
        (("hi", "--needs", "flight"), 2, "--needs takes tools"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_next_step(
    house: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run_noibo("route", "explain", *arguments, home=house)
    assert (done.returncode, said in done.stderr) == (code, True)


def test_that_nobody_can_answer_is_told_with_what_would_mend_it(house: Path) -> None:
    found = explained(house, "hi", "--model", "seeing", "--needs", "vision")
    assert (found["model"], found["class"]) == (None, "simple")
    assert "Add a candidate that has vision" in json.dumps(found["error"])
    done = run_noibo("route", "explain", "hi", "--model", "seeing", "--needs", "vision", home=house)
    assert "nobody" in done.stdout
    assert "Add a candidate that has vision" in done.stdout


def test_a_question_is_weighed_before_any_model_was_fetched(home: Path) -> None:
    found = explained(home, HARD)
    assert (found["model"], found["class"], found["targets"]) == (None, "complex", [])
    done = run_noibo("route", "explain", HARD, "--lang", "vi", home=home)
    assert f"`noibo pull {found['missing'][0]}`" in done.stdout  # type: ignore[index]
    assert "phức tạp" in done.stdout


def test_the_seeds_variables_are_enough(home: Path) -> None:
    found = explained(
        home,
        HARD,
        LLM_STRATEGY="hybrid",
        LOCAL_LLM_URL="http://127.0.0.1:9/v1",
        OPENROUTER_API_KEY="sk-or-1",
    )
    assert [one["model"] for one in found["targets"]] == ["openai/gpt-4o-mini", "local"]  # type: ignore[attr-defined]
    assert "sk-or-1" not in json.dumps(found)
