"""docs/privacy.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from noibo.privacy.policy import Policy
from noibo.privacy.sensitivity import Rule
from noibo.settings import load

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_house_on_the_page_starts(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (text,) = blocks("toml")
    (home / "noibo.toml").write_text(text)
    policy = Policy.of(load().privacy)
    assert [policy.rule(one) for one in policy.scale.labels] == [
        Rule.LEAVE,
        Rule.REDACT,
        Rule.STAY,
    ]


def test_the_program_on_the_page_says_what_it_says_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (text,) = blocks("python")
    exec(text, {})
    said = capsys.readouterr().out
    for promised in re.findall(r"  # (.*?)(?: …)?$", text, re.MULTILINE):
        if not promised.startswith("raises"):
            assert promised in said
