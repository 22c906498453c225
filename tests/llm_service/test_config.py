from __future__ import annotations

import math
from typing import Any

import pytest

from noibo.errors import InvalidRequest
from noibo.llm_service.config import GenerationConfig
from noibo.settings import Llm


def test_the_settings_are_where_it_begins() -> None:
    config = GenerationConfig.of(Llm(max_tokens=7, temperature=0.1, top_p=0.5, top_k=3))
    assert config.fields() == {"max_tokens": 7, "temperature": 0.1, "top_p": 0.5, "top_k": 3}


def test_what_is_changed_is_sent_and_the_rest_stays() -> None:
    config = GenerationConfig().updated(temperature=0, top_k=0, stop="###", seed=1, system="Brief.")
    sent = config.fields()
    assert (sent["temperature"], sent["top_k"], sent["stop"], sent["seed"]) == (0, 0, ("###",), 1)
    assert sent["top_p"] == GenerationConfig().top_p
    assert "system" not in sent
    assert config.system == "Brief."


def test_names_of_transformers_mean_the_same() -> None:
    config = GenerationConfig().updated(max_new_tokens=5, repetition_penalty=1.1, do_sample=False)
    assert (config.max_tokens, config.repeat_penalty, config.temperature) == (5, 1.1, 0.0)
    assert GenerationConfig().updated(do_sample=True) == GenerationConfig()


def test_after_none_drawing_again_is_at_the_usual_temperature() -> None:
    greedy = GenerationConfig().updated(do_sample=False)
    assert greedy.updated(do_sample=True).temperature == GenerationConfig().temperature
    assert greedy.updated(do_sample=True, temperature=0.3).temperature == 0.3
    assert greedy.updated(temperature=0.3, do_sample=True).temperature == 0.3
    own = GenerationConfig().updated(temperature=0.2)
    assert own.updated(do_sample=True).temperature == 0.2


@pytest.mark.parametrize(
    ("name", "near"),
    [("temprature", "temperature"), ("top_pp", "top_p"), ("max_tokns", "max_tokens")],
)
def test_an_unknown_key_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationConfig().updated(**{name: 1})
    assert repr(near) in caught.value.next_step
    assert caught.value.param == name


def test_one_like_none_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"There are: .*temperature.*top_k"):
        GenerationConfig().updated(num_beams=4)


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"max_tokens": "5"},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": "0.7"},
        {"top_p": 0},
        {"top_p": 1.01},
        {"top_k": -1},
        {"stop": [1]},
        {"seed": "x"},
        {"temperature": None},
    ],
)
def test_a_value_that_cannot_be_is_refused_and_nothing_changes(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationConfig().updated(top_k=1, **change) if "top_k" not in change else (
            GenerationConfig().updated(**change)
        )
    assert caught.value.param in change


def test_whether_a_model_thinks_is_no_field_by_itself() -> None:
    config = GenerationConfig().updated(think=False)
    assert config.think is False
    assert "think" not in config.fields()
    assert config.updated(enable_thinking=True).think is True
    assert config.updated(think=None) == GenerationConfig()
    with pytest.raises(InvalidRequest) as caught:
        config.updated(think="low")
    assert caught.value.param == "think"
