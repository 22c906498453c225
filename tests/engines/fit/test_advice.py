"""What is said to be changed really helps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from noibo.engines.fit.advice import _most
from noibo.engines.fit.ask import Ask, in_quantisation, of_model
from noibo.engines.fit.fit import Fit, predict
from noibo.hardware.machine import Hardware
from tests.engines.fit.machines import apple, card, machine
from tests.engines.fit.small_headers import header, model
from tests.engines.fit.test_fit import known


def typed(ask: Ask, line: str) -> Ask:
    """The ask with what a line of advice says to type."""
    words = line.split("`")[1].split()
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "--kv":
            ask = replace(ask, kv_type="q8_0" if value == "q8_0" else "f16")
        elif option == "--quant":
            ask = in_quantisation(ask, value)
        elif option == "--context":
            ask = replace(ask, context=int(value))
        else:
            assert option == "--parallel"
            ask = replace(ask, parallel=int(value))
    return ask


def options(fit: Fit) -> list[str]:
    return [line for line in fit.advice if line.startswith("`--")]


@pytest.mark.parametrize(
    ("name", "context", "parallel", "where"),
    [
        ("llama3:8b", 8192, 8, machine(16)),
        ("mistral:7b", 32768, 4, machine(8)),
        ("qwen2.5:72b", 4096, 4, machine(64, card(24), card(24))),
        ("llama3:70b", 4096, 4, machine(64, apple(48))),
        ("qwen3:30b", 4096, 1, machine(32)),
        ("qwen2.5:14b", 4096, 1, machine(32)),
    ],
)
def test_what_is_advised_is_better(name: str, context: int, parallel: int, where: Hardware) -> None:
    ask = known(name, context, parallel)
    fit = predict(ask, where)
    assert fit.verdict in {"tight", "does not"}
    assert options(fit)
    ranks = ["does not", "tight", "runs well"]
    for line in options(fit):
        after = predict(typed(ask, line), where)
        assert ranks.index(after.verdict) > ranks.index(fit.verdict), line
        assert ("runs well" in line) == (after.verdict == "runs well")


def test_the_longest_context_that_fits_is_named() -> None:
    ask, where = known("llama3:8b", 8192, 8), machine(16)
    line = next(one for one in options(predict(ask, where)) if one.startswith("`--context"))
    longest = typed(ask, line)
    assert predict(longest, where).verdict != "does not"
    longer = replace(longest, context=longest.context + 256)
    assert predict(longer, where).verdict == "does not"


def test_a_model_that_runs_well_needs_no_advice() -> None:
    assert predict(known("llama3.2:1b"), machine(32)).advice == ()


def test_where_nothing_helps_a_smaller_model_is_advised() -> None:
    fit = predict(known("llama3.1:405b"), machine(8))
    assert len(fit.advice) == 1
    assert "noibo recommend" in fit.advice[0]
    slow = predict(known("qwen2.5:32b"), machine(64, bandwidth=10e9))
    assert slow.verdict == "tight"
    assert "smaller model" in slow.advice[-1]


def test_a_context_that_is_too_long_for_the_file_needs_yarn() -> None:
    fit = predict(known("mistral:7b", 131_072), machine(256))
    line = next(one for one in fit.advice if "YaRN" in one)
    assert "trained for 32,768 tokens" in line
    assert "factor 4" in line
    assert "`--context 32768`" in line
    parts = dict(fit.parts)
    assert parts["KV cache"] == 32 * 2 * 8 * 128 * 2 * 131_072  # on paper all the same


def test_a_file_that_is_stretched_says_from_where_it_is_less_exact(tmp_path: Path) -> None:
    stretched = header(
        "qwen2",
        context_length=131_072,
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=32_768,
    )
    ask = of_model(model(tmp_path, stretched))
    far = predict(replace(ask, context=131_072), machine(64))
    assert re.search(r"trained with 32,768 tokens.*YaRN \(factor 4\) to 131,072", far.advice[0])
    assert predict(replace(ask, context=32_768), machine(64)).advice == ()


def test_the_most_that_holds_is_found_by_halving() -> None:
    tried: list[int] = []

    def holds(number: int) -> bool:
        tried.append(number)
        return number <= 777

    assert _most(1, 10**6, holds) == 777
    assert len(tried) < 30
    assert _most(778, 10**6, holds) is None
    assert _most(1, 0, holds) is None
