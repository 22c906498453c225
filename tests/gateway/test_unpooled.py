"""The vectors of all tokens, taken as an engine says them."""

from __future__ import annotations

import json

import httpx2
import numpy as np
import pytest

from noibo.errors import EngineError, InvalidRequest
from noibo.gateway.unpooled import MOST, Room, Rows

VECTORS = np.random.default_rng(3).normal(size=(7, 5))
SAID = json.dumps([{"index": 0, "embedding": VECTORS.tolist()}]).encode()


def taken(said: bytes, cut: int, room: Room | None = None) -> Rows:
    rows = Rows(room)
    for start in range(0, len(said), cut):
        rows.take(said[start : start + cut])
    return rows


@pytest.mark.parametrize("cut", [1, 7, 100, 10**6])
def test_rows_are_found_however_the_answer_is_cut(cut: int) -> None:
    rows = taken(SAID, cut, Room())
    mean = VECTORS.mean(axis=0)
    assert rows.count == 7
    assert np.allclose(rows.mean(), mean / np.linalg.norm(mean), atol=1e-6)
    assert [json.loads(one) for one in rows.kept] == VECTORS.tolist()


def test_rows_that_nobody_wants_to_hear_are_not_kept() -> None:
    assert taken(SAID, 10**6).kept == []


def test_more_rows_than_an_answer_can_hold_are_refused() -> None:
    room = Room()
    long = b"[" + b"0.5," * (MOST // 4 - 1) + b"0.5]"
    rows = Rows(room)
    for _ in range(4):
        rows.take(long)
    assert room.left == 0
    with pytest.raises(InvalidRequest, match="4,194,304"):
        Rows(room).take(b"[1.5]")


@pytest.mark.parametrize("said", [b"", b"[]", b"[1,2][1]", b'["a"]', b"[null]", b"[1,]"])
def test_what_is_no_vector_is_the_engines_fault(said: bytes) -> None:
    with pytest.raises(EngineError):
        taken(said, 10**6).mean()


def test_many_texts_of_a_model_that_does_not_pool_keep_their_order(small: httpx2.Client) -> None:
    texts = ["the cat", "a dog sat on the mat", "it is march"] * 12

    answer = small.post("/v1/embeddings", json={"model": "none", "input": texts})
    rows = answer.json()["data"]
    native = small.post("/embedding", json={"model": "none", "content": texts}).json()
    assert [one["index"] for one in native] == list(range(36))
    for number in (0, 1, 35):
        mean = np.mean(native[number]["embedding"], axis=0)
        vector = np.array(rows[number]["embedding"])
        assert np.dot(vector, mean / np.linalg.norm(mean)) > 0.999
        assert len(native[number]["embedding"]) == len(native[number % 3]["embedding"])
