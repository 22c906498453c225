"""Phrases of many languages in one pass."""

from __future__ import annotations

import pytest

from noibo.routing.phrases import Phrases, Words, fold


def test_folding_takes_case_and_diacritics_away_and_nothing_else() -> None:
    assert fold("Tại SAO, Đà Nẵng?") == "tai sao, da nang?"
    assert fold("Straße") == "strasse"
    assert fold("プロンプト 分析") == "プロンプト 分析"  # kana keep the marks that make their sound


@pytest.mark.parametrize(
    ("phrase", "text", "is_there"),
    [
        ("tại sao", "Tai sao troi xanh", True),
        ("tại sao", "tai nạn sao biển", False),
        ("compar*", "A comparison of both", True),
        ("plan", "a planet", False),
        ("^who", "Who wrote it?", True),
        ("^who", "The man who wrote it", False),
        ("^who", "Fine. Who wrote it?", True),
        ("root cause*", "the root causes", True),
        ("root cause*", "the root", False),
        ("比较", "请比较两种方案", True),
        ("比较", "compare two plans", False),
    ],
)
def test_a_phrase_is_found_as_whole_words(phrase: str, text: str, is_there: bool) -> None:
    assert bool(Phrases({"it": [phrase]}).find(Words.of(text))) is is_there


def test_two_letters_of_a_language_without_spaces_count_as_a_word() -> None:
    assert len(Words.of("one two three")) == 3
    assert len(Words.of("水的化学式是什么")) == 5
