import json
import subprocess
import sys
import unicodedata
from itertools import pairwise

import pytest

from noibo.privacy.detector import STRUCTURED, Detector
from noibo.privacy.span import Span
from tests.privacy import scores
from tests.privacy.marked import Marked, marked, read

STYLES = read("other_styles.txt")
HELD_OUT = read("held_out.txt") + read("held_out_again.txt")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(STRUCTURED)


def found(detector: Detector, text: str) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in detector.find(text)]


def missing(detector: Detector, case: Marked) -> list[str]:
    """What is marked in a text and not covered, or has another label; and what is found besides."""
    spans = found(detector, case.text)
    wrong = [
        f"not found: {label} {case.text[start:end]}"
        for start, end, label in case.spans
        if not any(a <= start and end <= b and label == name for a, b, name in spans)
    ]
    return wrong + [
        f"found: {label} {case.text[start:end]}"
        for start, end, label in spans
        if not any(a < end and start < b for a, b, _ in case.spans)
    ]


@pytest.mark.parametrize("case", STYLES + HELD_OUT, ids=lambda case: case.text[:40])
def test_what_is_marked_is_found_and_nothing_else(detector, case):
    assert missing(detector, case) == []


@pytest.mark.parametrize("case", STYLES[::3] + HELD_OUT[::3], ids=lambda case: case.text[:40])
def test_accents_of_their_own_change_nothing(detector, case):
    decomposed = unicodedata.normalize("NFD", case.text)
    expected = [case.text[a:b] for a, b, _ in found(detector, case.text)]
    got = [decomposed[a:b] for a, b, _ in found(detector, decomposed)]
    assert [unicodedata.normalize("NFC", value) for value in got] == expected


def test_without_accents_the_words_still_count(detector):
    plain = {ord("đ"): "d", ord("Đ"): "D"}
    for case in (
        marked("Số tài khoản của em là [[BANK_ACCOUNT|19034567890123]]"),
        marked("mã số thuế: [[MST|0101243150]]"),
        marked("Bảo hiểm xã hội số [[BHXH|0112345678]]"),
        marked("sinh ngày [[DOB|05/03/1990]]"),
        marked("hộ chiếu [[PASSPORT|C1234567]]"),
        marked("chứng minh nhân dân số [[CMND|024567891]]"),
    ):
        text = unicodedata.normalize("NFD", case.text)
        text = "".join(one for one in text if not unicodedata.combining(one)).translate(plain)
        assert [label for _, _, label in found(detector, text)] == [case.spans[0][2]], text


def test_spans_are_sorted_and_apart(detector):
    text = "\n".join(case.text for case in STYLES)
    spans = detector.find(text)
    assert len(spans) > 150
    assert all(a.end <= b.start for a, b in pairwise(spans))


def test_one_name_makes_the_same_digits_something_else(detector):
    digits = "0912345678"
    for words, label in (
        ("sđt", "PHONE"),
        ("mst", "MST"),
        ("số bhxh", "BHXH"),
        ("stk", "BANK_ACCOUNT"),
    ):
        assert [name for _, _, name in found(detector, f"{words} {digits}")] == [label]
    assert found(detector, f"mã đơn hàng {digits}") == []


def test_the_nearest_name_is_believed(detector):
    text = "mst 0101243150, sđt 0912345678, stk 0011004234567 vcb, cccd 001087012345"
    labels = [label for _, _, label in found(detector, text)]
    assert labels == ["MST", "PHONE", "BANK_ACCOUNT", "CCCD"]


def test_a_wrong_check_digit_is_a_tax_code_where_it_is_called_one(detector):
    assert found(detector, "mst 0101243151")[0][2] == "MST"
    assert found(detector, "số 0101243150-001")[0][2] == "MST"
    assert found(detector, "số 0101243151-001") == []


def test_a_finder_that_is_sure_wins_over_one_that_is_not():
    def wide(text: str) -> list[Span]:
        return [Span(0, len(text), "ADDRESS", 0.5, "wide")]

    def sure(text: str) -> list[Span]:
        at = text.index("0")
        return [Span(at, at + 10, "PHONE", 0.9, "sure")]

    text = "12 Lê Lợi, Huế, 0912345678, gọi trước"
    spans = Detector((wide, sure)).find(text)
    assert [(text[one.start : one.end], one.label) for one in spans] == [
        ("12 Lê Lợi, Huế", "ADDRESS"),
        ("0912345678", "PHONE"),
        ("gọi trước", "ADDRESS"),
    ]


def test_names_and_addresses_are_found_too():
    labels = {one.label for one in Detector().find("Gọi chị Nguyễn Thị Lan, 0912345678 nhé")}
    assert labels == {"PERSON", "PHONE"}


def test_libraries_of_check_digits_are_loaded_when_a_number_needs_them():
    script = (
        "import sys; from noibo.privacy.detector import Detector; find = Detector().find;"
        "find('sđt 0912345678, lan@example.vn, sinh ngày 5/3/1990, cccd 001087012345');"
        "assert not {'stdnum', 'phonenumbers'} & set(sys.modules);"
        "find('mst 0101243150, call +14155552671');"
        "assert {'stdnum', 'phonenumbers'} <= set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.shared
def test_the_shared_texts_reach_the_aim(detector, shared):
    lines = (shared / "pii/vi_pii_spans.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [scores.row_of(json.loads(line)) for line in lines]
    result = scores.score(rows, detector.find, scores.STRUCTURED)
    assert result.recall >= 0.97
    assert result.precision >= 0.97
    assert result.label_accuracy >= 0.97
    assert result.false_hits < 0.03
    worst = min(
        scores.score(kept, detector.find, scores.STRUCTURED).recall
        for kept in scores.by_template(rows).values()
    )
    assert worst >= 0.9


def test_many_texts_are_looked_through_as_one_by_one():
    texts = [
        "",
        "sđt 0912345678",
        "Nguyễn Văn An (22/09/1972)",
        "không có gì",
        "sđt ０９１２３４５６７８",
    ]
    detector = Detector()
    assert detector.find_all(texts) == [detector.find(text) for text in texts]
    assert detector.find_all([]) == []
