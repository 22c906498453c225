"""How a token is drawn, by hand on a few scores."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from noibo.engines.hosted.drawing import Drawer, Way, likeliest
from noibo.engines.hosted.wanted import Refused, Wanted, read

SCORES = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))


def drawn(way: Way, times: int = 300, scores: NDArray[np.float32] = SCORES) -> Counter[int]:
    return Counter(Drawer(Way(**_with_seed(way, seed)), []).draw(scores) for seed in range(times))


def _with_seed(way: Way, seed: int) -> dict[str, object]:
    return {name: getattr(way, name) for name in Way.__slots__} | {"seed": seed}


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    found = drawn(Way(), 2000)
    assert [found[token] / 2000 for token in range(4)] == pytest.approx(
        [0.5, 0.3, 0.15, 0.05], abs=0.04
    )


@pytest.mark.parametrize(
    ("way", "tokens"),
    [
        (Way(temperature=0), {0}),
        (Way(top_k=1), {0}),
        (Way(top_k=2), {0, 1}),
        (Way(top_p=0.4), {0}),
        (Way(top_p=0.79), {0, 1}),
        (Way(min_p=0.5), {0, 1}),
        (Way(top_k=3, bias={0: -np.inf}), {1, 2, 3}),
        (Way(temperature=0, bias={3: 100.0}), {3}),
    ],
)
def test_only_those_are_drawn_that_are_left(way: Way, tokens: set[int]) -> None:
    assert set(drawn(way)) == tokens


def test_penalties_are_for_what_was_written_and_repeats_for_what_was_read_too() -> None:
    present = Drawer(Way(temperature=0, presence=1.0), [])
    assert [present.draw(SCORES) for _ in range(3)] == [0, 1, 0]  # 1 is not so likely as 0 less 1
    repeated = Drawer(Way(temperature=0, repeat=5.0, repeat_last=4), [0])
    assert repeated.draw(np.array([2.0, 1.0, 0.5, -1.0], np.float32)) == 1


def test_a_form_leaves_no_other_token() -> None:
    class Third:
        def allowed(self, size: int) -> NDArray[np.bool_]:
            return np.arange(size) == 2

        def take(self, token: int) -> bool:
            return token == 2

    drawer = Drawer(Way(), [], Third())
    assert drawer.draw(SCORES) == 2
    assert drawer.complete


def test_log_probabilities_do_not_depend_on_how_scores_are_shifted() -> None:
    chance, best = likeliest(SCORES + 7, 1, 2)
    assert chance == pytest.approx(np.log(0.3), abs=1e-5)
    assert best == [(0, pytest.approx(np.log(0.5), abs=1e-5)), (1, pytest.approx(chance))]


def test_what_nobody_says_is_as_the_models_makers_do_else_as_llama_cpp_does() -> None:
    usual = {"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1}
    way = Way.of(Wanted(temperature=0.2), usual, 4)
    assert (way.temperature, way.top_k, way.repeat, way.top_p) == (0.2, 20, 1.1, 0.95)
    way = Way.of(Wanted(), {}, 4)
    assert (way.temperature, way.top_k, way.top_p, way.min_p) == (0.8, 40, 0.95, 0.05)


def test_a_bias_for_no_token_is_refused() -> None:
    with pytest.raises(Refused):
        Way.of(Wanted(logit_bias={"4": 1.0}), {}, 4)


@pytest.mark.parametrize("said", [b"[]", b"{", b"\xff", b'{"temperature": "warm"}'])
def test_a_body_that_is_none_is_refused(said: bytes) -> None:
    with pytest.raises(Refused):
        read(said, "bigram")


def test_the_field_that_is_wrong_is_named() -> None:
    with pytest.raises(Refused) as refused:
        read(b'{"prompt": "a", "stop": [1]}', "bigram")
    assert refused.value.body["param"] == "stop"
