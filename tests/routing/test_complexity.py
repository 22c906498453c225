"""How hard a prompt is, and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noibo.routing import ComplexityClassifier
from noibo.routing.calibration import Outcome, calibrate
from noibo.routing.features import Query
from noibo.routing.learnt import SHIPPED, load

PROMPTS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data/vietnamese_prompts.jsonl").read_text().splitlines()
]
PAIRS = [
    ("Thủ đô của Úc là gì?", "What is the capital of Australia?", "simple"),
    ("Liệt kê các phòng ban của công ty.", "List the departments of the company.", "simple"),
    ("Tóm tắt email này trong hai câu.", "Summarise this email in two sentences.", "simple"),
    ("Ai viết Truyện Kiều?", "Who wrote The Tale of Kieu?", "simple"),
    ("So sánh hai phương án thuê kho.", "Compare two options for renting a warehouse.", "complex"),
    ("Tại sao doanh số giảm?", "Why did sales fall?", "complex"),
    ("Chứng minh căn bậc hai của 2 vô tỉ.", "Prove that the root of 2 is irrational.", "complex"),
    (
        "Thiết kế kiến trúc hệ thống thanh toán.",
        "Design the architecture of a payment system.",
        "complex",
    ),
    ("Dự đoán xu hướng giá thép.", "Predict the trend of steel prices.", "complex"),
]


@pytest.fixture(scope="module")
def classifier() -> ComplexityClassifier:
    return ComplexityClassifier()


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("Công ty có bao nhiêu phòng ban?", "simple"),
        ("ATTECH nghĩa là gì?", "simple"),
        ("Khi nào nộp báo cáo?", "simple"),
        ("Đánh giá hiệu quả của dự án.", "complex"),
        ("Vì sao hệ thống chậm?", "complex"),
        ("Đề xuất giải pháp tiết kiệm điện.", "complex"),
        ("Trời hôm nay đẹp quá", "simple"),
        ("Mình vừa chuyển nhà sang quận khác và muốn gửi thiệp báo cho bà con họ hàng", "medium"),
    ],
)
def test_the_seeds_patterns_and_lengths_decide_as_in_the_seed(
    classifier: ComplexityClassifier, query: str, label: str
) -> None:
    assert classifier.predict(query) == label


@pytest.mark.parametrize(("vietnamese", "english", "label"), PAIRS)
def test_the_same_question_has_one_class_in_both_languages(
    classifier: ComplexityClassifier, vietnamese: str, english: str, label: str
) -> None:
    assert classifier.predict(vietnamese) == classifier.predict(english) == label


def test_vietnamese_prompts_are_classed_as_people_would(classifier: ComplexityClassifier) -> None:
    said = [(row["class"], classifier.predict(row["prompt"])) for row in PROMPTS]
    assert len(said) >= 150
    assert sum(wanted == label for wanted, label in said) / len(said) >= 0.85
    assert not [1 for one in said if set(one) == {"simple", "complex"}]


@pytest.mark.shared
def test_at_least_85_percent_of_the_probes_are_classed_right(
    classifier: ComplexityClassifier, shared: Path
) -> None:
    lines = (shared / "routing/semantic_router/probes.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    right = sum(classifier.predict(row["prompt"]) == row["class"] for row in rows)
    assert right / len(rows) >= 0.85


@pytest.mark.parametrize("query", ["Quang hợp là gì?", "Compare two plans.", "2 + 2?"])
def test_more_around_a_prompt_never_makes_it_easier(
    classifier: ComplexityClassifier, query: str
) -> None:
    for field, steps in {
        "context_tokens": (0, 500, 2000, 8000, 60_000),
        "turns": (1, 2, 5, 20),
        "tools": (0, 1, 4, 30),
        "documents": (0, 1, 10),
        "pictures": (0, 1, 3),
    }.items():
        chances = [classifier.weigh(Query(query, **{field: step})).p_local for step in steps]
        assert chances == sorted(chances, reverse=True)
        assert chances[0] > chances[-1]


def test_a_cue_in_a_quotation_asks_for_nothing(classifier: ComplexityClassifier) -> None:
    assert classifier.predict('Dịch câu "Vì sao phải so sánh và phân tích?" sang tiếng Anh') == (
        "simple"
    )


def test_reasons_are_told_in_both_languages(classifier: ComplexityClassifier) -> None:
    found = classifier.weigh(Query("Compare the two contracts and explain the trade-offs."))
    assert "asks to compare" in found.reasons()[0]
    assert "yêu cầu so sánh" in found.reasons("vi")[0]


def test_parts_of_a_decision_sum_to_it(classifier: ComplexityClassifier) -> None:
    found = classifier.weigh(Query("What is a court? List three."))
    odds = np.log(found.p_local / (1 - found.p_local))
    assert sum(weight for _, weight in found.parts) == pytest.approx(odds)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "?" * 5000, "đ" * 40_000, "```", "水" * 3000, "\ud800 a"]
)
def test_any_text_has_a_chance(classifier: ComplexityClassifier, text: str) -> None:
    assert 0 < classifier.p_local(text) < 1


@pytest.mark.parametrize("how", ["missing", "garbage", "other features"])
def test_without_weights_the_seeds_rules_decide_and_say_so(tmp_path: Path, how: str) -> None:
    place = tmp_path / "router.npz"
    if how == "garbage":
        place.write_bytes(SHIPPED.read_bytes()[:1000])
    if how == "other features":
        np.savez(place, names=np.array(["one"]))
    classifier = ComplexityClassifier(place)
    assert classifier.broken
    assert classifier.predict("Có bao nhiêu nhân viên?") == "simple"
    assert classifier.predict("tai sao he thong cham") == "complex"
    assert classifier.predict("Hãy kể lại thật chi tiết buổi họp mặt cựu sinh viên hôm qua") == (
        "medium"
    )
    found = classifier.weigh(Query("So sánh hai bên"))
    assert found.method == "rules"
    assert "by rules alone" in found.reasons()[0]


def test_weights_are_saved_byte_for_byte(tmp_path: Path) -> None:
    load().save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == SHIPPED.read_bytes()


def test_outcomes_of_the_own_model_move_the_chance() -> None:
    query = Query("Thủ đô của Úc là gì?")
    shipped = ComplexityClassifier().weigh(query)
    bad = calibrate([Outcome(shipped.p_local, 0.0)] * 60)
    own = ComplexityClassifier(calibration=bad).weigh(query)
    assert own.p_local < 0.4 < shipped.p_local
    assert own.sure > shipped.sure


def test_thresholds_are_the_callers() -> None:
    strict = ComplexityClassifier(simple_threshold=0.99, complex_threshold=0.98)
    assert strict.predict("Thủ đô của Úc là gì?") == "complex"
