"""Sums of the ledger, by whatever they are asked for, and what answering here saved."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.database.database import Database
from noibo.errors import UsageError
from noibo.hardware.system import Answer, System
from noibo.usage.comparison import Work, break_even, compare
from noibo.usage.cost import Total
from noibo.usage.csv_text import csv_text
from noibo.usage.entry import UsageEntry
from noibo.usage.local_cost import LocalCost
from noibo.usage.power import keep, measure, measured
from noibo.usage.prices import price_of
from noibo.usage.records import insert_entries
from noibo.usage.report import Report, report
from noibo.usage.sums import By, Window, sums
from noibo.usage.tokens import Tokens
from tests.usage.calls import MODEL, call, local

pytestmark = pytest.mark.anyio
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC).timestamp()
DAY = 86_400.0
PRICE = price_of("ref", {"input": 1, "output": 4, "as_of": "2026-11-23"}, "test")


async def reported(
    database: Database, kept: Sequence[UsageEntry], by: By = "model", window: Window | None = None
) -> Report:
    await database.write(lambda connection: insert_entries(connection, kept))
    window = window or Window(NOON - 30 * DAY, NOON + DAY)
    cells = await database.read(lambda connection: sums(connection, window, by))
    return report(cells, by, HANOI, "ref", PRICE)


async def test_calls_are_added_up_by_what_was_asked_for(database: Database) -> None:
    kept = [
        local(at=NOON, request="1", owner="anna", label="internal", cost=10),
        local(at=NOON, request="2", owner="binh", label="secret", cost=10),
        call(at=NOON, request="3", owner="binh", label="public", cost=500, route="hybrid"),
    ]
    expected = {
        "user": {"anna": 1, "binh": 2},
        "label": {"internal": 1, "secret": 1, "public": 1},
        "model": {"smollm2:135m": 2, MODEL: 1},
        "route": {"": 2, "hybrid": 1},
        "destination": {"": 2, "https://openrouter.ai": 1},
        "key": {"key:k1": 3},
        "day": {"2026-11-23": 3},
    }
    for by, calls in expected.items():
        found = await reported(database, kept, cast("By", by))
        assert {line.name: line.calls for line in found.lines} == calls
        total = found.total
        assert (total.calls, total.local_answers) == (3, 2)
        assert (total.api, total.local) == (Total(500), Total(20))
        assert (total.input, total.output) == (300, 150)


async def test_a_name_that_nobody_can_have_is_nobodys(database: Database) -> None:
    window = Window(NOON - 1, NOON + 1, user="anna\0", key="\0", model="\0")
    found = await reported(database, [local(at=NOON, owner="anna")], window=window)
    assert found.total.calls == 0


async def test_days_are_those_of_the_users_zone(database: Database) -> None:
    last = datetime.datetime(2026, 11, 23, 23, 59, 59, tzinfo=HANOI).timestamp()
    found = await reported(
        database, [local(at=last, request="1"), local(at=last + 1, request="2")], "day"
    )
    assert [(line.name, line.calls) for line in found.lines] == [
        ("2026-11-23", 1),
        ("2026-11-24", 1),
    ]


async def test_a_window_ends_where_it_is_said_to(database: Database) -> None:
    kept = [local(at=NOON + second, request=str(second)) for second in range(-3, 3)]
    window = Window(NOON - 2, NOON + 1)
    assert (await reported(database, kept, window=window)).total.calls == 3
    anna = Window(NOON - 9, NOON + 9, user="binh")
    assert (await reported(database, kept, window=anna)).total.calls == 0


async def test_what_is_unknown_is_counted_and_not_added(database: Database) -> None:
    kept = [
        call(at=NOON, request="1", cost=500),
        call(at=NOON, request="2", tokens=Tokens()),
        local(at=NOON, request="3"),
    ]
    total = (await reported(database, kept)).total
    assert total.api == Total(500, 1)
    assert total.local == Total(0, 1)
    assert total.saved is None


async def test_savings_are_the_reference_less_what_it_cost_here(database: Database) -> None:
    kept = [local(at=NOON, request="1", tokens=Tokens(input=1000, output=500), cost=1_000_000)]
    total = (await reported(database, kept)).total
    assert total.instead == 3_000_000
    assert total.saved == 2_000_000


async def test_without_a_price_nothing_is_said_to_be_saved(database: Database) -> None:
    await reported(database, [local(at=NOON, cost=1)])
    window = Window(NOON - DAY, NOON + DAY)
    cells = await database.read(lambda connection: sums(connection, window, "model"))
    found = report(cells, "model", HANOI, "unheard of", None)
    assert found.total.instead is None
    assert found.total.saved is None


async def test_an_answer_that_was_thrown_away_saved_nothing(database: Database) -> None:
    kept = [
        local(at=NOON, request="cascade", tokens=Tokens(input=1000, output=500), cost=1),
        call(at=NOON + 1, request="cascade", cost=500),
        local(at=NOON, request="judged", tokens=Tokens(input=1000, output=500), cost=1),
        local(
            at=NOON, request="judged", model="judge", tokens=Tokens(input=2000, output=2), cost=1
        ),
        local(at=NOON, request="fell back", tokens=Tokens(input=1000, output=500), cost=1),
        call(at=NOON + 1, request="fell back", cost=0, outcome="failed"),
        local(at=NOON, request="broken", outcome="failed"),
        local(at=NOON, request="uncounted", tokens=Tokens(), cost=1),
    ]
    total = (await reported(database, kept)).total
    assert total.calls == 8
    assert total.answers == 4
    assert total.local_answers == 3
    assert total.instead == 2 * 3_000_000
    assert total.uncounted == 1
    assert total.failed == 2
    assert total.local == Total(5, 0)


async def test_long_prompts_are_priced_as_such(database: Database) -> None:
    long = price_of("ref", {"input": 1, "output": 4, "long_above": 500, "long_input": 2}, "test")
    kept = [
        local(at=NOON, request="1", tokens=Tokens(input=500, output=0)),
        local(at=NOON, request="2", tokens=Tokens(input=600, output=0)),
    ]
    await reported(database, kept)
    window = Window(NOON - DAY, NOON + DAY)
    cells = await database.read(lambda connection: sums(connection, window, "model", 500))
    assert report(cells, "model", HANOI, "ref", long).total.instead == (500 + 1200) * 1000


# ── the machine's own cost, and the comparison ──────────────────────────────


def machine(**values: object) -> LocalCost:
    said: dict[str, object] = {
        "watts": Decimal(913),
        "kwh_price": Decimal("0.15"),
        "hardware_price": Decimal(2500),
    }
    return LocalCost(**said | values)  # type: ignore[arg-type]


def test_the_seeds_comparison_comes_out_as_it_says() -> None:
    work = Work(api=Decimal(750), local_share=Decimal("0.8"))
    api, hybrid, here = compare(work, machine())
    assert (api.month, api.hardware, api.break_even) == (750, 0, None)
    assert hybrid.api == 150
    assert round(hybrid.electricity or 0) == round(here.electricity or 0) == 100
    assert 300 <= (hybrid.with_hardware or 0) <= 400
    assert (here.api, round(here.month or 0)) == (0, 100)
    assert 3 <= (here.break_even or 0) <= (hybrid.break_even or 0) <= 6


@pytest.mark.parametrize(
    ("hardware", "before", "after", "months"),
    [
        (2500, 750, 250, 5),
        (2501, 750, 250, 6),
        (0, 750, 250, 0),
        (1, 100, 100, None),
        (1, 1, 2, None),
    ],
)
def test_hardware_is_paid_back_by_what_it_saves_or_never(
    hardware: int, before: int, after: int, months: int | None
) -> None:
    assert break_even(Decimal(hardware), Decimal(before), Decimal(after)) == months


def test_what_is_not_known_of_a_machine_is_not_guessed() -> None:
    assert machine(watts=None).cost(1000) is None
    assert machine(kwh_price=None).cost(1000) is None
    assert machine(hardware_price=None).cost(1000) is None
    assert machine().cost(None) is None
    work = Work(api=Decimal(750), local_share=Decimal("0.8"))
    for unknown in (machine(watts=None), machine(hardware_price=None)):
        assert compare(work, unknown)[1].break_even is None
    assert compare(work, machine(hardware_price=None))[1].month is not None
    with pytest.raises(UsageError):
        Work(api=Decimal(1), local_share=Decimal(2))
    with pytest.raises(UsageError):
        machine(used=Decimal(0))


def test_an_hour_of_answering_costs_its_electricity_and_its_wear() -> None:
    plain = machine(watts=Decimal(200), kwh_price=Decimal("0.1"), hardware_price=Decimal(0))
    assert plain.cost(3_600_000) == 20_000_000  # 0.2 kWh at 0.10
    assert plain.cost(3_600_000, at_once=4) == 5_000_000
    worn = machine(
        watts=Decimal(0), hardware_price=Decimal(8766), years=Decimal(1), used=Decimal(1)
    )
    assert worn.cost(3_600_000) == 10**9


def test_watts_are_read_from_the_counters_of_the_processor_and_the_cards(tmp_path: Path) -> None:
    folders = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram"}
    for folder, name in folders.items():
        place = tmp_path / "sys/class/powercap" / folder
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text("1000000000\n")
        (place / "energy_uj").write_text("999000000\n")
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        for folder, used in (("intel-rapl:0", 600_000_000), ("intel-rapl:0:1", 400_000_000)):
            path = tmp_path / "sys/class/powercap" / folder / "energy_uj"
            path.write_text(str((int(path.read_text()) + used // 2) % 1_000_000_000))

    cards = Answer(text="70.5\n 80.0\n")
    system = System(root=tmp_path, run=lambda command: cards)
    found = measure(system, 10, sleep, lambda: clock[0])
    assert found.cpu_watts == 100  # 600 + 400 J in 10 s; the cores are in the package
    assert found.gpu_watts == Decimal("150.5")
    assert found.watts == Decimal("250.5")
    keep(tmp_path, found, "2026-11-23")
    assert measured(tmp_path) == (Decimal("250.5"), "RAPL and nvidia-smi, 2026-11-23")


def test_a_machine_that_tells_nothing_says_why(tmp_path: Path) -> None:
    absent = System(root=tmp_path, run=lambda command: Answer(absent=True))
    found = measure(absent, 0.001, lambda seconds: None, iter([0.0, 1.0]).__next__)
    assert found.watts is None
    assert any("RAPL" in problem for problem in found.problems)
    wrong = System(root=tmp_path, run=lambda command: Answer(text="[N/A]\n"))
    found = measure(wrong, 0.001, lambda seconds: None, iter([0.0, 1.0]).__next__)
    assert any("nvidia-smi" in problem for problem in found.problems)
    assert measured(tmp_path) is None


# ── CSV ─────────────────────────────────────────────────────────────────────

texts = st.text(max_size=8) | st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "a,b", 'a"b', "a\nb", "=\n"]
)


@given(st.lists(st.tuples(texts, texts, st.integers()), max_size=5))
def test_no_cell_of_csv_is_a_formula_and_every_one_comes_back(
    table: list[tuple[str, str, int]],
) -> None:
    text = csv_text(["a", "b", "c"], table)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == ["a", "b", "c"]
    assert len(found) == len(table) + 1
    for read, row in zip(found[1:], table, strict=True):
        for cell, said in zip(read[:2], row[:2], strict=True):
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))
            assert cell.removeprefix("'") == said.replace("\0", "") or cell == said.replace(
                "\0", ""
            )
        assert int(read[2]) == row[2]


def test_numbers_stay_numbers_in_csv() -> None:
    assert csv_text(["x"], [[-1.5], [Decimal("-0.000001")], [None], [True]]) == (
        'x\r\n-1.5\r\n-0.000001\r\n""\r\ntrue\r\n'
    )
