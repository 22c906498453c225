"""`noibo usage` as a user types it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from noibo.assembly import open_database, open_money
from noibo.cli.main import app
from noibo.database.database import Database
from noibo.database.schema import api_keys
from noibo.errors import NoiboError
from noibo.settings import load
from noibo.usage.journal import Journal
from noibo.usage.rules import Spender
from noibo.usage.tokens import Tokens
from tests.usage.calls import MODEL, call, local, rows

SETTINGS = """
[usage]
reference = "openai/gpt-4o-mini"
kwh_price = 0.1
watts = 250
hardware_price = 2500
[budgets.all]
month = 20
[budgets."user:anna"]
day = 3
max_api_calls_per_hour = 50
over = "refuse"
"""


@pytest.fixture
def kept(home: Path) -> Path:
    """A home whose server answered some requests, and was killed before it brought all in."""
    home.mkdir()
    (home / "noibo.toml").write_text(SETTINGS)

    async def fill() -> None:
        database = open_database(load())

        async def opened() -> Database:
            return database

        _, budgets = open_money(load(), opened)
        now, journal = time.time(), Journal(home / "usage")
        for number in range(4):
            tokens = Tokens(input=1_000_000, output=100_000)
            journal.append(
                local(request=str(number), at=now, tokens=tokens, cost=10_000_000, label="internal")
            )
        entry = call(request="paid", at=now, owner="=1+1", label="public")
        held = await budgets.reserve(entry, 2_000_000_000, Spender("anna"))
        await budgets.settle(held, call(id=entry.id, owner="=1+1", cost=1_500_000_000))
        journal.close()
        await database.close()

    asyncio.run(fill())
    return home


Noibo = Callable[..., str]


@pytest.fixture
def noibo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Noibo:
    """What `noibo usage …` prints; where it `fails`, the error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, fails: bool = False) -> str:
        if fails:
            with pytest.raises(NoiboError) as caught:
                app(["usage", *words], standalone_mode=False)
            return str(caught.value)
        app(["usage", *words], standalone_mode=False)
        return capsys.readouterr().out.replace("\n  ", " ")

    return run


def test_sums_savings_and_shares_are_told(kept: Path, noibo: Noibo) -> None:
    said = noibo()
    assert "4 of 5 answered requests were answered here: 80%." in said
    assert "would have cost $0.84; here they cost $0.040: $0.80 saved." in said
    assert "$1.50" in said
    said = noibo("--lang", "vi", "--by", "label")
    assert "4 trên 5 yêu cầu được trả lời tại máy này: 80%." in said
    assert "tiết kiệm $0.80" in said
    again = json.loads(noibo("--json"))
    assert again["total"]["calls"] == 5
    assert again["total"]["saved"] == 0.8
    assert again["total"]["api_cost"] == 1.5


def test_csv_is_for_spreadsheets_and_without_formulas(kept: Path, noibo: Noibo) -> None:
    rows = list(csv.DictReader(io.StringIO(noibo("--by", "user", "--csv"))))
    assert {row["user"] for row in rows} == {"anna", "'=1+1"}
    assert sum(int(row["calls"]) for row in rows) == 5
    single = list(csv.DictReader(io.StringIO(noibo("export"))))
    assert len(single) == 5
    assert {row["owner"] for row in single} == {"anna", "'=1+1"}
    lines = [json.loads(line) for line in noibo("export", "--json").splitlines()]
    assert sorted(row["id"] for row in lines) == sorted(row["id"] for row in single)


def test_a_model_without_a_price_is_no_saving(kept: Path, noibo: Noibo) -> None:
    assert "not known: no/such has no known price" in noibo("--against", "no/such")
    assert json.loads(noibo("--against", "no/such", "--json"))["total"]["saved"] is None


def test_amounts_are_shown_in_dong_where_there_is_a_rate(kept: Path, noibo: Noibo) -> None:
    text = SETTINGS.replace("[usage]", '[usage]\ncurrency = "VND"', 1)
    (kept / "noibo.toml").write_text(text)
    assert "vnd_per_usd" in noibo(fails=True)
    text = text.replace("[usage]", "[usage]\nvnd_per_usd = 26000", 1)
    (kept / "noibo.toml").write_text(text)
    assert "39,000 ₫" in noibo()


def test_the_comparison_by_the_month_says_when_hardware_is_paid_back(
    kept: Path, noibo: Noibo
) -> None:
    said = ["compare", "--api", "750", "--local-share", "0.8", "--watts", "913"]
    found = json.loads(noibo(*said, "--kwh-price", "0.15", "--json"))
    assert [row["setup"] for row in found] == ["api", "hybrid", "local"]
    assert [row["break_even_month"] for row in found] == [None, 6, 4]
    assert "tháng thứ 6" in noibo(*said, "--kwh-price", "0.15", "--lang", "vi")
    rows = list(csv.DictReader(io.StringIO(noibo("compare", "--csv"))))
    assert float(rows[0]["api"]) > float(rows[1]["api"]) > float(rows[2]["api"]) == 0


def test_a_comparison_says_what_is_unknown_and_takes_it_for_nothing_less(
    home: Path, noibo: Noibo
) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text(SETTINGS)
    journal = Journal(home / "usage")
    journal.append(local(request="here", at=time.time(), tokens=Tokens(input=1000, output=9)))
    journal.append(call(request="there", at=time.time(), cost=None))
    assert "of no call of the API the cost is known" in noibo("compare", fails=True)
    journal.append(call(request="priced", at=time.time(), cost=5, cost_by="prices"))
    journal.append(local(request="uncounted", at=time.time(), tokens=Tokens()))
    rows = json.loads(noibo("compare", "--json"))
    assert [row["calls_left_out"] for row in rows] == [2, 2, 2]
    said = " ".join(noibo("compare").split())
    assert "Of 1 calls of the API the cost is not known" in said
    assert "1 answers of this machine have no count of tokens" in said
    journal.close()


def test_budgets_say_what_is_left(kept: Path, noibo: Noibo) -> None:
    rows = {(row["whose"], row["unit"]): row for row in json.loads(noibo("budgets", "--json"))}
    assert rows["all", "USD"]["spent"] == 1.5
    assert rows["all", "USD"]["limit"] == 20
    assert rows["user:anna", "calls"]["spent"] == 1
    assert "từ chối" in noibo("budgets", "--lang", "vi")


def test_a_key_is_shown_by_its_name(home: Path, noibo: Noibo) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text('[budgets."key:laptop"]\nday = 3\n[budgets."user:*"]\nday = 1')
    app(["key", "create", "laptop"], standalone_mode=False)

    async def spend() -> None:
        database = open_database(load())

        async def opened() -> Database:
            return database

        _, budgets = open_money(load(), opened)
        (key,) = [one.id for one in await rows(database, api_keys)]
        entry = call(request="paid", key=f"key:{key}")
        held = await budgets.reserve(entry, 10**9, Spender("anna", f"key:{key}", "laptop"))
        await budgets.settle(held, call(id=entry.id, key=f"key:{key}", cost=5 * 10**8))
        await database.close()

    asyncio.run(spend())
    noibo("--json")
    said = noibo("budgets")
    assert re.search(r"key:laptop \(\w+\) .*\$3.00 +\$0.50", said)
    assert re.search(r"user:anna .*\$1.00 +\$0.50", said)
    assert "key:laptop (" in noibo("--by", "key")


def test_prices_are_shown_and_taken_from_a_file(home: Path, tmp_path: Path, noibo: Noibo) -> None:
    assert MODEL in noibo("prices", "gpt-4o-mini")
    table = tmp_path / "list.toml"
    table.write_text('as_of = 2027-01-01\n[prices."openrouter:new/model"]\ninput = 1\noutput = 2\n')
    assert "1 prices of 2027-01-01 hold" in noibo("prices", "--file", str(table))
    found = json.loads(noibo("prices", "--json"))
    assert [row["name"] for row in found["prices"]] == ["openrouter:new/model"]
    table.write_text("nonsense")
    assert "not TOML" in noibo("prices", "--file", str(table), fails=True)
    assert len(json.loads(noibo("prices", "--json"))["prices"]) == 1


def test_a_home_where_nothing_was_asked_says_so(home: Path, noibo: Noibo) -> None:
    assert "Nothing was asked" in noibo()
    assert json.loads(noibo("--json"))["total"]["calls"] == 0
    assert "There is no budget" in noibo("budgets")
    assert "not known" in noibo("compare", fails=True)
    assert "is no amount" in noibo("compare", "--api", "inf", fails=True)
    assert "is no day" in noibo("--since", "soon", fails=True)
    assert not (home / "noibo.db").exists()
