"""Which budgets a call is under."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from noibo.errors import SettingsError
from noibo.settings import load
from noibo.usage.money import NANOS
from noibo.usage.rules import Rule, Spender, claims_of, of_no_model, rules_for, rules_of

ANNA = Spender("anna", "key:k1", "laptop")
HERE = Spender("local")


def scopes(rules: tuple[Rule, ...], who: Spender = ANNA, model: str = "openai/gpt-4o") -> list[str]:
    return [scope for scope, _ in rules_for(rules, who, model)]


def test_a_budget_of_all_is_over_every_call() -> None:
    rules = (Rule("all", day=1),)
    assert scopes(rules) == scopes(rules, HERE) == ["all"]


def test_a_key_is_named_by_its_name_or_its_id_and_counted_by_its_id() -> None:
    assert scopes((Rule("key:laptop", day=1),)) == ["key:k1"]
    assert scopes((Rule("key:k1", day=1),)) == ["key:k1"]
    assert scopes((Rule("key:other", day=1),)) == []
    assert scopes((Rule("key:laptop", day=1),), HERE) == []


def test_a_star_is_a_budget_for_each() -> None:
    rules = (Rule("key:*", day=1), Rule("user:*", day=1), Rule("model:*", day=1))
    assert scopes(rules) == ["key:k1", "user:anna", "model:openai/gpt-4o"]
    assert scopes(rules, HERE) == ["user:local", "model:openai/gpt-4o"]


def test_one_that_names_somebody_holds_instead_of_one_for_each() -> None:
    each, own = Rule("user:*", day=1), Rule("user:anna", day=5)
    assert [rule for _, rule in rules_for((each, own), ANNA, "m")] == [own]
    assert [rule for _, rule in rules_for((each, own), HERE, "m")] == [each]


def test_a_pattern_of_models_is_one_budget_for_them_together() -> None:
    rules = (Rule("model:openai/*", day=1),)
    assert scopes(rules) == scopes(rules, model="openai/o3") == ["model:openai/*"]
    assert scopes(rules, model="x-ai/grok-4-fast") == []


def test_of_two_limits_in_the_same_place_the_smaller_holds() -> None:
    rules = (Rule("all", calls_per_hour=9), Rule("all", day=7, calls_per_hour=5))
    claims = claims_of(rules, ANNA, "m", 1e9, datetime.UTC)
    assert {(one.period, one.limit) for one in claims} == {("2001-09-09", 7), ("hour", 5)}


def test_claims_are_in_the_order_in_which_all_servers_take_them() -> None:
    rules = tuple(
        Rule(whose, day=1, month=1, calls_per_hour=1)
        for whose in ("user:anna", "model:*", "all", "key:laptop")
    )
    places = [(one.scope, one.period) for one in claims_of(rules, ANNA, "m", 1e9, datetime.UTC)]
    assert places == sorted(places)
    assert len(places) == 12


def test_budgets_are_read_from_the_settings(home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(
        '[budgets.all]\nmonth = 20.5\nover = "refuse"\n'
        '[budgets."key:laptop"]\nday = 0.1\nmax_api_calls_per_hour = 50\n'
        '[prices."my/model"]\ninput = 0.15\noutput = 0.6\n'
    )
    tree = load()
    assert rules_of(tree.budgets, 100) == (
        Rule("all", month=20_500_000_000, over="refuse"),
        Rule("key:laptop", day=NANOS // 10, calls_per_hour=50),
        Rule("all", calls_per_hour=100),
    )
    assert tree.prices["my/model"].said == {"input": 0.15, "output": 0.6}


@pytest.mark.parametrize(
    "text",
    [
        "[budgets.everybody]\nday = 1\n",
        '[budgets."key:"]\nday = 1\n',
        "[budgets.all]\nday = -1\n",
        "[budgets.all]\nweek = 1\n",
        '[budgets.all]\nover = "perhaps"\n',
        "budgets = 3\n",
    ],
)
def test_a_budget_that_cannot_be_is_refused(home: Path, text: str) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(text)
    with pytest.raises(SettingsError):
        load()


def test_a_budget_of_no_model_is_found() -> None:
    rules = (
        Rule("all", day=1),
        Rule("model:*", day=1),
        Rule("model:openai/*", day=1),
        Rule("model:cloud", day=1),
        Rule("model:clod", day=1),
    )
    assert of_no_model(rules, ["cloud"]) == ["model:openai/*", "model:clod"]
    assert of_no_model(rules, ["cloud", "openai/gpt-4o"]) == ["model:clod"]
