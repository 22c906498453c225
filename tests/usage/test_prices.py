"""Prices: dated, strict about whose they are, and never zero where nobody said so."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import pytest

from noibo.errors import SettingsError
from noibo.usage.price_import import read_file
from noibo.usage.prices import FILE_NAME, price_of, price_table, read_table, shipped, written

TABLE = """
as_of = 2026-11-01
[providers]
openrouter = ["openrouter.ai"]
[prices."openrouter:a/b"]
input = 0.037
output = 0.17
"""


def test_the_shipped_table_is_dated_and_whole() -> None:
    table = shipped()
    assert datetime.date.fromisoformat(table.as_of) >= datetime.date(2026, 11, 1)
    assert table.source
    for price in table:
        provider, _, model = price.name.partition(":")
        assert provider in table.providers
        assert model
        assert datetime.date.fromisoformat(price.as_of)
        known = (price.usual.input, price.usual.output, price.image)
        assert any(one is not None for one in known)
        assert price.image is not None or None not in known[:2]
        cached = price.usual.cached_input
        assert cached is None or cached <= (price.usual.input or 0)


@pytest.mark.parametrize(
    "model",
    ["openai/gpt-4o-mini", "google/gemini-2.5-flash", "x-ai/grok-4-fast", "openai/gpt-oss-120b"],
)
def test_the_models_of_the_seed_are_priced_at_openrouter(model: str) -> None:
    assert shipped().find(model, "https://openrouter.ai/api/v1") is not None


def test_a_price_holds_at_the_addresses_of_its_provider_alone() -> None:
    table = shipped()
    assert table.find("gpt-4o-mini", "https://api.openai.com/v1") is not None
    assert table.find("gpt-4o-mini", "https://eu.api.openai.com") is not None
    for elsewhere in ("http://10.0.0.5:8000/v1", "https://notapi.openai.com.evil.vn", "", "//["):
        assert table.find("gpt-4o-mini", elsewhere) is None


def test_the_users_own_price_wins_for_the_nearest_name() -> None:
    own = {
        name: price_of(name, {"input": amount, "output": amount}, "test")
        for name, amount in (("a/b", 1), ("openrouter:a/b", 2), ("other.vn:a/b", 3))
    }
    table = read_table(TABLE, "test").with_own(own)
    found = {
        place: (table.find("a/b", place) or own["a/b"]).usual.input
        for place in ("https://openrouter.ai", "https://other.vn/v1", "http://127.0.0.1:1", "")
    }
    assert list(found.values()) == [2, 3, 1, 1]


def test_a_person_may_leave_the_provider_out() -> None:
    table = shipped()
    for name in ("openai/gpt-4o-mini", "openrouter:openai/gpt-4o-mini", "gpt-4o-mini"):
        assert table.named(name) is not None
    assert table.named("no-such-model") is None


def test_prices_are_read_exactly() -> None:
    price = read_table(TABLE, "test").prices["openrouter:a/b"]
    assert price.usual.input == Decimal("0.037")
    assert price.as_of == "2026-11-01"
    assert not price.free
    assert price_of("x", {"input": 0, "output": 0}, "test").free


def test_a_long_prompt_has_its_own_rates() -> None:
    said = {"input": 2, "output": 10, "cached_input": 0.2, "long_above": 1000, "long_input": 4}
    price = price_of("x", said, "test")
    assert price.rates(1000).input == 2
    assert price.rates(1001).input == 4
    assert price.rates(1001).output == 10


def test_a_written_table_reads_the_same() -> None:
    table = shipped()
    assert read_table(written(table), "again") == table


@pytest.mark.parametrize(
    "text",
    [
        "as_of = 2026-11-01",
        "[prices.x]\ninput = 1",
        'as_of = "soon"\n[prices.x]\ninput = 1',
        "as_of = 2026-11-01\n[prices.x]\ninptu = 1",
        "as_of = 2026-11-01\n[prices.x]\ninput = -1",
        "as_of = 2026-11-01\n[prices.x]\ninput = nan",
        "as_of = 2026-11-01\n[prices.x]\ninput = true",
        "as_of = 2026-11-01\n[prices.x]\ninput = 1e-999999",
        "as_of = 2026-11-01\n[prices.x]\ninput = 1\nlong_above = inf",
        "as_of = 2026-11-01\n[prices.x]\ninput = 1\nlong_above = -1",
        "as_of = 2026-11-01\n[prices.x]\ninput = 1\nlong_above = [1]",
        'as_of = 2026-11-01\n[providers]\na = "a.com"\n[prices.x]\ninput = 1',
        "as_of = 2026-11-01\nprices = 3",
        "as_of = ",
    ],
)
def test_half_a_table_is_none(text: str) -> None:
    with pytest.raises(SettingsError):
        read_table(text, "test")


def test_the_users_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(TABLE)
    table = price_table(tmp_path, {"mine": {"input": 0.1, "output": 0.3}})
    assert table.as_of == "2026-11-01"
    assert {one.name for one in table} == {"openrouter:a/b", "mine"}


def test_litellms_list_is_read_as_ours(tmp_path: Path) -> None:
    rows = {
        "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0.0},
        "gpt-x": {
            "litellm_provider": "openai",
            "input_cost_per_token": 3.7e-08,
            "output_cost_per_token": 1.7e-07,
            "input_cost_per_token_above_272k_tokens": 7.4e-08,
            "output_cost_per_token_above_272k_tokens": 2e-07,
        },
        "openrouter/a/b": {"litellm_provider": "openrouter", "input_cost_per_token": 1e-06},
        "draws": {"litellm_provider": "openai", "output_cost_per_image": 0.04},
        "elsewhere": {"litellm_provider": "nobody", "input_cost_per_token": 1e-06},
        "free of data": {"litellm_provider": "openai"},
        "broken": 3,
    }
    path = tmp_path / "list.json"
    path.write_text(json.dumps(rows))
    table = read_file(path, "2026-10-31")
    assert sorted(table.prices) == ["openai:draws", "openai:gpt-x", "openrouter:a/b"]
    price = table.prices["openai:gpt-x"]
    assert (price.usual.input, price.usual.output) == (Decimal("0.037"), Decimal("0.17"))
    assert price.rates(272_001).input == Decimal("0.074")
    assert price.as_of == "2026-10-31"
    assert read_table(written(table), "again").prices == table.prices


def test_a_table_without_providers_holds_where_they_are_known_to_be(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text('as_of = 2026-11-01\n[prices."openai:gpt-x"]\ninput = 1\noutput = 2\n')
    table = read_file(path, "")
    assert table.find("gpt-x", "https://api.openai.com") is not None
    assert table.source == "new.toml"
    (tmp_path / FILE_NAME).write_text(path.read_text())
    assert price_table(tmp_path, {}).find("gpt-x", "https://api.openai.com") is not None


@pytest.mark.parametrize("name", ["gpt-x", "opnai:gpt-x"])
def test_a_price_that_would_hold_nowhere_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new.toml"
    path.write_text(f'as_of = 2026-11-01\n[prices."{name}"]\ninput = 1\n')
    with pytest.raises(SettingsError, match="no provider"):
        read_file(path, "")


@pytest.mark.parametrize("text", ["{", "{}", '{"a": 1}', "\xff"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError):
        read_file(path, "2026-10-31")
