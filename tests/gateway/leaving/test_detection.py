"""What is looked through of a conversation that grows."""

from __future__ import annotations

from typing import Any

import pytest

from noibo.gateway.leaving.detection import Detection
from noibo.gateway.leaving.journey import Journey
from noibo.privacy.policy import Policy
from noibo.privacy.span import Span
from tests.privacy.finding import find

pytestmark = pytest.mark.anyio


class Counted:
    """A finder that knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> list[Span]:
        self.asked.append(text)
        return find(text)


def turn(number: int) -> dict[str, Any]:
    return {
        "role": "user",
        "content": f"Lượt thứ {number}: gọi giúp tôi số 0912 345 {600 + number}.",
    }


async def test_with_each_turn_only_what_is_new_is_looked_through() -> None:
    counted = Counted()
    detection = Detection(Policy(), counted)
    looks = []
    for length in range(1, 12):
        fields = {"messages": [turn(number) for number in range(length)]}
        counted.asked.clear()
        judgement = await detection.judge(Journey(f"r{length}", "me", 0.0), fields, [])
        assert judgement.counts == {"PHONE": length}
        looks.append(sum("0912" in text for text in counted.asked))
    assert looks[1:] == [looks[1]] * 10
    assert looks[1] <= 2  # by itself, and after the turn before it
