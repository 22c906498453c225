"""A key: shown once, kept as a digest, compared in constant time also where there is none."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.access import api_key, password, user
from noibo.access.api_key import Key
from noibo.access.grant import EVERYTHING
from noibo.errors import UsageError


def kept(minted: api_key.Minted, **more: float) -> Key:
    owner = api_key.owner_of(minted.id)
    return Key(minted.id, "a key", owner, EVERYTHING, minted.digest, created_at=1.0, **more)


def test_a_key_is_known_again_and_no_other_is() -> None:
    minted, other = api_key.mint(), api_key.mint()
    parts = api_key.parts(minted.text)
    assert parts == (minted.id, minted.digest)
    assert api_key.is_it(kept(minted), parts[1])
    assert not api_key.is_it(kept(other), parts[1])
    assert not api_key.is_it(None, parts[1])
    assert not api_key.is_it(None, bytes(32))  # the digest of nothing is nobody's


def test_what_is_kept_is_a_digest_of_256_bits() -> None:
    minted = api_key.mint()
    secret = minted.text.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    assert minted.digest == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(kept(minted))
    assert len({api_key.mint().text for _ in range(200)}) == 200


def test_it_is_compared_in_constant_time_also_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    right = hmac.compare_digest

    def watch(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return right(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    minted = api_key.mint()
    for key in (kept(minted), kept(api_key.mint()), None):
        api_key.is_it(key, minted.digest)
    assert compared == [(32, 32)] * 3
    password.matches("a guess", None)
    password.matches("a guess", password.hashed("something else"))
    assert compared[3:] == [(32, 32)] * 2


def test_the_end_of_a_key() -> None:
    minted = api_key.mint()
    assert kept(minted).fault(now=1e9) == ""
    assert kept(minted, expires_at=10.0).fault(now=9.9) == ""
    assert kept(minted, expires_at=10.0).fault(now=10.0) == "has expired"
    assert kept(minted, revoked_at=5.0).fault(now=1.0) == "has been revoked"


def test_a_key_of_nobodys_stands_for_itself_and_no_user_is_called_so() -> None:
    minted = api_key.mint()
    assert kept(minted).user is None
    with pytest.raises(UsageError):
        user.require_name(kept(minted).owner)


@given(st.text())
def test_what_is_no_key_is_no_key(text: str) -> None:
    assert api_key.parts(text) is None
    assert api_key.parts(api_key.BEGINNING + text) is None


@pytest.mark.parametrize("change", ["", " ", "\n", "0", "A", "é", "\u0661"])
def test_a_key_is_whole_or_none(change: str) -> None:
    text = api_key.mint().text
    assert api_key.parts(text) is not None
    broken = text + change if change else text[:-1]
    assert api_key.parts(broken) is None
    assert api_key.is_ours(broken)
    assert api_key.parts(text.upper()) is None
    assert api_key.parts(text[:-1] + (change or "")[:1]) is None or change in {"0"}


@pytest.mark.parametrize(
    "name", ["", "A", "an a", "local", "key:abc", "-a", "a/b", "ạn", "a\n", "a" * 49, "..", "_a"]
)
def test_what_cannot_be_a_users_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a user's name"):
        user.require_name(name)


@pytest.mark.parametrize("name", ["an", "an.nguyen@example.vn", "0", "a" * 48, "local2"])
def test_what_can(name: str) -> None:
    assert user.require_name(name) == name


def test_sessions_end_when_idle_and_when_old() -> None:
    session = user.Session(b"", "an", created_at=0.0, seen_at=0.0)
    assert session.lives(user.IDLE_S - 1)
    assert not session.lives(user.IDLE_S)
    late = user.Session(b"", "an", created_at=0.0, seen_at=user.LONGEST_S - 10)
    assert late.lives(user.LONGEST_S - 1)
    assert not late.lives(user.LONGEST_S)


def test_what_a_page_repeats_is_not_what_is_kept_and_not_the_cookie() -> None:
    token = user.new_token()
    said = {token, user.page_token(token), user.digest(token).hex()}
    assert len(said) == 3
    assert user.page_token(token) != user.page_token(user.new_token())
