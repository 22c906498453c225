"""JSON, CSV and the page: everything in them, and nothing that runs."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest

from noibo.evaluation.measures import FIGURES, Note
from noibo.evaluation.page import as_html
from noibo.evaluation.report import as_csv, as_json, plain
from noibo.evaluation.statistics import Estimate
from noibo.evaluation.words import FIGURES as LABELS
from noibo.evaluation.words import NOTES, PAGE, estimate_text, in_unit, note_text, number
from tests.evaluation.made import failure, report, round_of, standing

EVIL = '<script>alert("1")</script>=cmd'


def two(name: str = "b") -> tuple[bytes, str, str]:
    slow = standing(name, *(round_of(number, every=0.2) for number in range(1, 6)))
    fast = standing("a", *(round_of(number) for number in range(1, 6)))
    slow.cells[1].rounds[0].failures.append(failure(said=EVIL))
    made = report(fast, slow)
    return as_json(made), as_csv(made), as_html(made)


def test_json_has_every_answer_and_no_key() -> None:
    text, _, _ = two()
    found = json.loads(text)
    assert found["schema"] == "noibo.bench/1"
    assert b"secret" not in text
    assert [len(side["rounds"]) for side in found["sides"]] == [5, 5]
    assert len(found["sides"][0]["rounds"][0]["answers"]) == 4
    assert found["measured"][1]["ratios"]["rate"]["value"] == pytest.approx(0.5)
    assert found["measured"][1]["failures"] == {"server error": 1}


def test_csv_has_a_line_for_each_side_and_no_formula() -> None:
    _, text, _ = two("=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["side"] for row in rows] == ["a", "'=HYPERLINK(1)"]
    assert float(rows[0]["rate"]) == pytest.approx(10.0)
    assert rows[0]["latency_p99"] == ""
    assert rows[0]["rate_ratio"] == ""
    assert float(rows[1]["rate_ratio"]) == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_name_becomes_a_formula(text: str) -> None:
    assert plain(text) == f"'{text}"
    assert plain("model:1b") == "model:1b"


class Tags(HTMLParser):
    """What is in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    _, _, page = two(EVIL)
    found = Tags()
    found.feed(page)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not {"href", "src", "style", "srcset", "action"} & names
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 3
    assert found.tags.count("figure") == 4


def test_the_policy_allows_this_style_and_no_other() -> None:
    _, _, page = two()
    style = page.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_speaks_both_languages() -> None:
    _, _, page = two()
    for text in (PAGE["title"], PAGE["notes"]):
        assert text["en"] in page
        assert text["vi"] in page
    spoken = as_html(report(standing("a", round_of(1))), "vi")
    assert '<html lang="vi">' in spoken
    assert 'id="vi" checked' in spoken


def test_every_text_has_both_languages_and_the_same_places() -> None:
    for texts in (*LABELS.values(), *NOTES.values(), *PAGE.values()):
        places = [set(re.findall(r"{(\w+)", texts[one])) for one in ("en", "vi")]
        assert places[0] == places[1]
        assert all(texts.values())
    assert set(LABELS) == {figure.key for figure in FIGURES}


def test_a_report_that_was_stopped_says_so_first() -> None:
    made = report(standing("a", round_of(1)), done=0)
    assert note_text(made.notes[0], "en").startswith("Stopped after 0 of 5 rounds")
    assert note_text(Note("by_pieces", "x", {}), "vi").startswith("x: ")


def test_a_page_without_any_answer_stands() -> None:
    page = as_html(report(standing("a"), standing("b")))
    assert "<svg" in page
    assert "nan" not in page.lower().replace("tuần", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00123, "0.00123"),
        (0.5, "0.500"),
        (12.345, "12.3"),
        (999.6, "1,000"),
        (1234567, "1,234,567"),
        (99.96, "100"),
        (1e-12, "0.00000000"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_numbers_are_written_as_the_language_does() -> None:
    assert number(12.345, "vi") == "12,3"
    assert number(12345, "vi") == "12.345"
    assert estimate_text(Estimate(2.0, 1.5, 2.5, 9), "vi") == "2,00 (1,50–2,50)"


def test_too_few_values_are_said_and_not_a_number() -> None:
    assert estimate_text(Estimate(None, n=20, lacks=100)) == "20 of 100"
    assert estimate_text(Estimate(None, lacks=0)) == "-"


def test_times_below_a_second_are_in_milliseconds() -> None:
    unit, found = in_unit([Estimate(0.5, 0.4, 0.6, 9), None], "s")
    assert (unit, found) == ("ms", [Estimate(500.0, 400.0, 600.0, 9), None])
    assert in_unit([Estimate(0.5), Estimate(1.0)], "s")[0] == "s"
    assert in_unit([Estimate(0.5)], "tok/s")[0] == "tok/s"
