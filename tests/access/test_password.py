"""Passwords: scrypt, in every way of writing the same letters."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import pytest

from noibo.access import password
from noibo.errors import UsageError

WORD = "mật khẩu rất dài"


@pytest.fixture(scope="module")
def kept() -> str:
    return password.hashed(WORD)


def test_a_password_is_known_again(kept: str) -> None:
    assert password.matches(WORD, kept)
    assert not password.matches(WORD + " ", kept)
    assert not password.matches("", kept)
    assert not password.matches("\ud800", kept)


def test_the_same_letters_written_otherwise_are_the_same_password(kept: str) -> None:
    one, other = unicodedata.normalize("NFC", WORD), unicodedata.normalize("NFD", WORD)
    assert one != other
    assert password.matches(one, kept)
    assert password.matches(other, kept)


def test_what_is_kept_says_its_cost_and_differs_each_time(kept: str) -> None:
    assert kept.startswith("scrypt$32768$8$3$")
    assert WORD not in kept
    assert password.hashed(WORD) != kept


def test_a_name_that_does_not_exist_costs_the_same_work(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[dict[str, Any]] = []
    work = hashlib.scrypt

    def watched(said: bytes, **cost: Any) -> bytes:
        costs.append({name: cost[name] for name in ("n", "r", "p", "dklen")})
        return work(said, **cost)

    monkeypatch.setattr(hashlib, "scrypt", watched)
    assert not password.matches("a wrong one", kept)
    assert not password.matches("a wrong one", None)
    assert costs[0] == costs[1]
    assert len(costs) == 2


def test_nobody_has_the_password_of_nobody() -> None:
    assert not password.matches("", None)


@pytest.mark.parametrize("word", ["", "nine char", "x" * 1025])
def test_too_short_and_too_long_ones_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="10 to 1024 characters"):
        password.hashed(word)
