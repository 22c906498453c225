"""What calls cost, to the billionth of a dollar, and what they can cost at most."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import UsageError
from noibo.usage.cost import Total, bound, cost, total
from noibo.usage.money import MOST_A_CALL, Currency, decimal, dollars, nanos, nanos_at_most
from noibo.usage.prices import Price, Rates, price_of
from noibo.usage.tokens import Most, Tokens, believed, reported, reported_cost

MINI = price_of("mini", {"input": 0.15, "cached_input": 0.075, "output": 0.6}, "test")
counts = st.integers(0, 2_000_000)
rates = st.decimals(0, 500, places=6)


def test_each_kind_of_token_has_its_rate() -> None:
    price = price_of(
        "x",
        {
            "input": 1,
            "cached_input": 0.1,
            "cache_write": 1.25,
            "output": 4,
            "reasoning": 8,
            "image": 0.01,
            "request": 0.002,
        },
        "test",
    )
    tokens = Tokens(input=1000, cached=300, cache_write=200, output=100, reasoning=60, images=2)
    expected = 500 * 1 + 300 * Decimal("0.1") + 200 * Decimal("1.25") + 40 * 4 + 60 * 8
    assert cost(tokens, price) == expected * 1000 + 22_000_000


def test_what_has_no_rate_of_its_own_is_charged_as_the_whole() -> None:
    plain = price_of("x", {"input": 1, "output": 4}, "test")
    tokens = Tokens(input=1000, cached=300, cache_write=200, output=100, reasoning=60)
    assert cost(tokens, plain) == 1_400_000


def test_what_nobody_pays_for_one_call_is_no_cost_of_it() -> None:
    assert reported_cost({"cost": 999_999_999_999}) is None
    assert reported_cost({"cost": 1_000_000}) == 1_000_000
    both = {"cost": 900_000, "is_byok": True, "cost_details": {"upstream_inference_cost": 900_000}}
    assert reported_cost(both) == 1_000_000
    dear = price_of("x", {"input": 10**9, "output": 10**9}, "test")
    assert cost(Tokens(input=10**12, output=1), dear) is None
    assert bound(10**12, 10**30, dear) == MOST_A_CALL


def test_what_is_not_known_is_not_zero() -> None:
    assert cost(Tokens(input=1, output=1), None) is None
    assert cost(Tokens(), MINI) is None
    assert cost(Tokens(input=5), MINI) is None
    half = price_of("x", {"input": 1}, "test")
    assert cost(Tokens(input=5, output=1), half) is None
    assert cost(Tokens(input=5, output=0), half) == 5000
    assert bound(5, 1, half) is None
    assert bound(5, 1, None) is None
    assert total([1, None, 2]) == Total(3, 1)
    assert not total([None]).whole
    assert total([]) == Total(0, 0)


def test_an_image_is_charged_by_itself_or_among_the_tokens() -> None:
    drawn = price_of("x", {"image": 0.04}, "test")
    assert cost(Tokens(images=2), drawn) == 80_000_000
    assert cost(Tokens(images=2), MINI) is None
    assert cost(Tokens(input=10, output=0, images=2), MINI) == 1500
    assert bound(10, 0, MINI, images=2) == 1500


@given(st.tuples(counts, counts, counts, counts, counts), st.tuples(rates, rates, rates))
def test_no_call_costs_more_than_its_bound(
    many: tuple[int, int, int, int, int], said: tuple[Decimal, Decimal, Decimal]
) -> None:
    prompt, output, cached, stored, thought = many
    read, written, special = said
    price = Price("x", Rates(read, min(read, special), special, written, special))
    cached = min(cached, prompt)
    tokens = Tokens(
        input=prompt,
        cached=cached,
        cache_write=min(stored, prompt - cached),
        output=output,
        reasoning=min(thought, output),
    )
    found, most = cost(tokens, price), bound(prompt, output, price)
    assert found is not None
    assert most is not None
    assert 0 <= found <= most


@given(st.lists(st.tuples(counts, counts), max_size=50), rates, rates)
def test_sums_of_costs_drift_no_more_than_their_rounding(
    calls: list[tuple[int, int]], read: Decimal, written: Decimal
) -> None:
    price = Price("x", Rates(input=read, output=written))
    found = sum(cost(Tokens(input=a, output=b), price) or 0 for a, b in calls)
    exact = sum(Fraction(read) * a * 1000 + Fraction(written) * b * 1000 for a, b in calls)
    assert abs(found - exact) <= Fraction(len(calls), 2)


# ── tokens as they are reported ─────────────────────────────────────────────


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Tokens(input=100, cached=30, output=50, reasoning=20),
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "input_tokens_details": {"cached_tokens": 30},
                "output_tokens_details": {"reasoning_tokens": 20},
            },
            Tokens(input=100, cached=30, output=50, reasoning=20),
        ),
        (  # Anthropic: beside each other
            {
                "input_tokens": 50,
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 20,
                "output_tokens": 50,
            },
            Tokens(input=100, cached=30, cache_write=20, output=50),
        ),
        (  # Gemini: thoughts beside what is said
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 30,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 150,
            },
            Tokens(input=100, cached=30, output=50, reasoning=20),
        ),
        ({"prompt_eval_count": 100, "eval_count": 50}, Tokens(input=100, output=50)),
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, Tokens(input=10)),
        # Wrong numbers: no count, and no part larger than its whole.
        ({"prompt_tokens": -1, "completion_tokens": "50"}, Tokens()),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, Tokens()),
        ({"prompt_tokens": 10.0, "completion_tokens": 10**30}, Tokens(input=10)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 99, "cache_write_tokens": 7},
                "completion_tokens_details": {"reasoning_tokens": 99},
            },
            Tokens(input=10, cached=10, cache_write=0, output=5, reasoning=5),
        ),
        (None, Tokens()),
        ([1, 2], Tokens()),
    ],
)
def test_usage_is_read_in_every_shape(usage: object, expected: Tokens) -> None:
    assert reported(usage) == expected


numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
names = st.sampled_from(
    [
        *("prompt_tokens", "completion_tokens", "cost", "cached_tokens", "reasoning_tokens"),
        *("cache_read_input_tokens", "promptTokenCount", "thoughtsTokenCount", "is_byok"),
    ]
)
tables = st.dictionaries(names, numbers, max_size=5)
parts = st.sampled_from(["prompt_tokens_details", "completion_tokens_details", "cost_details"])


@given(st.builds(dict.__or__, tables, st.dictionaries(parts, tables | numbers, max_size=2)))
def test_no_usage_however_wrong_makes_a_negative_cost(usage: object) -> None:
    found = cost(reported(usage), MINI)
    assert found is None or found >= 0
    said = reported_cost(usage)
    assert said is None or said >= 0


@pytest.mark.parametrize(
    ("said", "wrote", "expected"),
    [
        ((10, 20), True, (10, 20)),
        ((10, 0), True, (10, None)),  # something was written
        ((10, 0), False, (10, 0)),
        ((10, 10**9), True, (10, None)),  # of an answer of a thousand bytes, and a hundred asked
        ((10**9, 20), True, (None, 20)),
        ((10, 50_000), True, (10, 50_000)),  # thoughts that nobody sees
        ((50_000, 20), True, (50_000, 20)),  # what a search found
        ((None, None), True, (None, None)),
    ],
)
def test_a_count_that_cannot_be_is_none(
    said: tuple[int | None, int | None], wrote: bool, expected: tuple[int | None, int | None]
) -> None:
    found = believed(Tokens(said[0], output=said[1]), Most(30, 100), wrote=wrote, received=1000)
    assert (found.input, found.output) == expected


def test_what_writes_nothing_needs_no_count_of_it() -> None:
    embedding = reported({"prompt_tokens": 8, "total_tokens": 8})
    found = believed(embedding, Most(10, 0), wrote=False, received=10)
    assert cost(found, price_of("e", {"input": 1}, "test")) == 8000
    assert bound(10, 0, price_of("e", {"input": 1}, "test")) == 10_000


def test_the_providers_own_word_for_a_cost() -> None:
    assert reported_cost({"cost": 0.00095}) == Decimal("0.00095")
    assert reported_cost({"cost": 0}) == 0
    details = {"cost_details": {"upstream_inference_cost": 0.019}}
    assert reported_cost({"cost": 0.001, **details}) == Decimal("0.001")
    assert reported_cost({"cost": 0.001, "is_byok": True, **details}) == Decimal("0.020")
    for wrong in ({}, {"cost": None}, {"cost": -1}, {"cost": "much"}, {"cost": True}, None):
        assert reported_cost(wrong) is None


# ── money ───────────────────────────────────────────────────────────────────


def test_amounts_are_rounded_once_and_known_exactly() -> None:
    assert nanos(Decimal("0.0000000005")) == 1
    assert nanos_at_most(Decimal("0.0000000001")) == 1
    assert dollars(nanos(Decimal("12.345678901"))) == Decimal("12.345678901")
    assert decimal(0.1, "x") == Decimal("0.1")
    for wrong in ("", "x", -1, float("nan"), float("inf"), True, "1e30", None):
        with pytest.raises(UsageError):
            decimal(wrong, "x")


@pytest.mark.parametrize(
    ("amount", "dollar", "dong"),
    [
        (None, "unknown", "unknown"),
        (0, "$0.00", "0 ₫"),
        (420_000, "$0.00042", "10.92 ₫"),
        (1, "$0.0000000010", "0.000026 ₫"),
        (1_230_000_000, "$1.23", "31,980 ₫"),
        (-1_230_000_000, "-$1.23", "-31,980 ₫"),
        (12_345_678_900_000, "$12,345.68", "320,987,651 ₫"),
        (996_000_000, "$1.00", "25,896 ₫"),
    ],
)
def test_amounts_are_shown_as_people_read_them(amount: int | None, dollar: str, dong: str) -> None:
    assert Currency().shown(amount) == dollar
    assert Currency("VND", Decimal(26_000)).shown(amount) == dong
