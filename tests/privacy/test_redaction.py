"""The same value has the same placeholder, another has another, and the same history the same."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.placeholder import Placeholder, letters, plain_kind
from noibo.privacy.redaction import Redaction
from noibo.privacy.span import Span
from noibo.privacy.spans import disjoint, shifted
from noibo.privacy.spelling import either, normalised
from tests.privacy.finding import find


def redacted(*texts: str) -> list[str]:
    redaction = Redaction()
    return [redaction.redact(text, find(text)) for text in texts]


def spelled(kind: str, *values: str) -> list[str]:
    redaction = Redaction()
    return [redaction.redact(value, [Span(0, len(value), kind)]) for value in values]


def test_a_conversation_in_vietnamese() -> None:
    assert redacted(
        "Chào chị Trần Thị Bình, số của em là 0912 345 678.",
        "Nguyễn Văn An gọi cho Trần Thị Bình qua 0912 345 678 hay 0987654321?",
        "Gửi an@b.vn và an@b.vn.",
    ) == [
        "Chào chị <PERSON_1>, số của em là <PHONE_1>.",
        "<PERSON_2> gọi cho <PERSON_1> qua <PHONE_1> hay <PHONE_2>?",
        "Gửi <EMAIL_1> và <EMAIL_1>.",
    ]


def test_a_conversation_in_english() -> None:
    assert redacted(
        "John Smith logged in from 10.0.0.7 and 10.0.0.8.",
        "Tell John Smith (j.smith@example.org) that 10.0.0.7 is blocked.",
    ) == [
        "<PERSON_1> logged in from <IP_1> and <IP_2>.",
        "Tell <PERSON_1> (<EMAIL_1>) that <IP_1> is blocked.",
    ]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (
            "PERSON",
            ("Nguyễn Văn An", "NGUYỄN VĂN AN", "nguyễn  văn an", "Nguye\u0302\u0303n Va\u0306n An"),
        ),
        ("PHONE", ("0912345678", "0912 345 678", "0912.345.678", "+84 912 345 678", "84912345678")),
        ("EMAIL", ("An@B.vn", "an@b.vn")),
        ("CREDIT_CARD", ("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111")),
        ("LICENSE_PLATE", ("51F-123.45", "51F 12345", "51f12345")),
        ("DOB", ("12/05/1990", "12-05-1990", "12.05.1990")),
        ("PERSON", ("Nguy\\u1ec5n An", "Nguyễn An")),
    ],
)
def test_spellings_of_one_value_have_one_number_and_come_back_as_written(
    kind: str, values: tuple[str, ...]
) -> None:
    said = spelled(kind, *values)
    assert said == [f"<{kind}_1{letters(number)}>" for number in range(len(values))]
    assert spelled(kind, *values, *values) == said * 2


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("API_KEY", ("sk-ABC", "sk-abc")),
        ("DOB", ("1/11/1990", "11/1/1990")),
        ("IP", ("10.1.1.1", "101.1.1")),
        ("PERSON", ("Lê An", "Lê Ân")),
        ("PHONE", ("0912345678", "0912345679")),
    ],
)
def test_different_values_have_different_numbers(kind: str, values: tuple[str, str]) -> None:
    assert spelled(kind, *values) == [f"<{kind}_1>", f"<{kind}_2>"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["PERSON", "PHONE", "DOB"]), st.text(min_size=1)), max_size=20
    )
)
def test_no_two_values_share_a_placeholder(values: list[tuple[str, str]]) -> None:
    redaction = Redaction()
    said = {}
    for kind, value in values:
        placeholder = redaction.redact(value, [Span(0, len(value), kind)])
        assert said.setdefault(placeholder, value) == value
        assert redaction.restore(placeholder) == value


turns = st.lists(
    st.sampled_from(
        [
            "Nguyễn Văn An: 0912 345 678",
            "Trần Thị Bình và NGUYỄN VĂN AN",
            "<PERSON_1> là ai? PERSON_2?",
            "an@b.vn, 0912345678",
            "không có gì",
            "<PHONE_1><TEXT_1>",
        ]
    ),
    max_size=8,
)


@given(turns, turns)
def test_a_longer_history_begins_as_the_shorter_one(before: list[str], after: list[str]) -> None:
    assert redacted(*before, *after)[: len(before)] == redacted(*before)


def test_a_placeholder_that_a_user_writes_is_not_taken_for_one_of_ours() -> None:
    assert redacted("PERSON_1 và <phone_1>: Nguyễn Văn An, 0912345678") == [
        "PERSON_1 và <phone_1>: <PERSON_2>, <PHONE_2>"
    ]
    assert redacted(
        "Nguyễn Văn An", "Ai là <PERSON_1>, PERSON_1, <PERSON_2>?", "Trần Thị Bình"
    ) == [
        "<PERSON_1>",
        "Ai là <TEXT_1>, <TEXT_2>, <PERSON_2>?",
        "<PERSON_3>",
    ]


def test_a_value_inside_a_word_and_findings_that_overlap() -> None:
    redaction = Redaction()
    text = "user_0912345678_vn gọi"
    said = redaction.redact(text, [Span(5, 15, "PHONE"), Span(8, 12, "CMND"), Span(5, 9, "DOB")])
    assert said == "user_<PHONE_1>_vn gọi"
    assert redaction.restore(said) == text


def test_findings_that_overlap_are_one_over_all_of_their_ground() -> None:
    spans = [Span(0, 4, "DOB"), Span(3, 12, "ADDRESS"), Span(12, 13, "IP"), Span(20, 20, "IP")]
    assert disjoint(spans) == [Span(0, 12, "ADDRESS"), Span(12, 13, "IP")]


spans = st.lists(
    st.builds(
        lambda a, b, kind: Span(min(a, b), max(a, b), kind),
        st.integers(0, 30),
        st.integers(0, 30),
        st.sampled_from("ABC"),
    )
)


@given(spans)
def test_what_is_found_is_covered_and_nothing_else(found: list[Span]) -> None:
    made = disjoint(found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(made))
    covered = {place for one in made for place in range(one.start, one.end)}
    assert covered == {place for one in found for place in range(one.start, one.end)}
    assert disjoint(reversed(made)) == made


def test_what_lies_before_a_text_is_cut_off() -> None:
    assert shifted([Span(0, 3, "A"), Span(2, 7, "B"), Span(6, 9, "C")], 5) == [
        Span(0, 2, "B"),
        Span(1, 4, "C"),
    ]


def test_a_value_known_by_one_text_is_found_in_another() -> None:
    redaction = Redaction()
    redaction.note(
        "Tài khoản 19001234567 của Lê Bá Duy, An",
        [Span(10, 21, "BANK_ACCOUNT"), Span(26, 35, "PERSON"), Span(37, 39, "PERSON")],
    )
    text = "Chuyển 19001234567 cho Lê Bá Duy, An; 190012345678, Lê Bá Duyên"
    assert redaction.redact(text, redaction.known(text)) == (
        "Chuyển <BANK_ACCOUNT_1> cho <PERSON_1>, An; 190012345678, Lê Bá Duyên"
    )


def test_where_brackets_may_not_stand_the_whole_word_is_one_placeholder() -> None:
    redaction = Redaction()
    assert redaction.redact("get_0912345678", [Span(4, 14, "PHONE")], bare=True) == "PHONE_1"
    assert redaction.restore("PHONE_1") == "get_0912345678"
    assert redaction.redact("get_weather", [], bare=True) == "get_weather"
    assert redaction.redact("x<PHONE_1>y", [], bare=True) == "TEXT_1"
    assert redaction.restore("TEXT_1") == "x<PHONE_1>y"


def test_what_was_redacted_is_counted_for_each_body() -> None:
    redaction = Redaction()
    redaction.redact("0912345678 0912345678", find("0912345678 0912345678"))
    assert redaction.counts == {"PHONE": 2}
    redaction.count_anew()
    redaction.redact("0912345678", find("0912345678"))
    assert redaction.counts == {"PHONE": 1}
    assert redaction.values == 1


def test_threads_share_no_placeholder() -> None:
    redaction = Redaction()
    values = [f"Khách {number}" for number in range(400)]

    def made(value: str) -> str:
        return redaction.redact(value, [Span(0, len(value), "PERSON")])

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(made, values * 2))
    assert said[:400] == said[400:]
    assert len(set(said)) == 400
    assert [redaction.restore(one) for one in said[:400]] == values


def test_a_whole_answer_of_any_api_is_restored() -> None:
    redaction = Redaction()
    text = 'Lê "Ba" An'
    redaction.redact(text, [Span(0, len(text), "PERSON")])
    answer = {
        "choices": [
            {
                "message": {
                    "content": "Chào <PERSON_1>",
                    "tool_calls": [
                        {"function": {"arguments": '{"ten": "\\u003cPERSON_1\\u003e"}'}}
                    ],
                }
            }
        ],
        "content": [{"type": "tool_use", "input": {"<PERSON_1>": ["<PERSON_1>", 1, None]}}],
    }
    assert redaction.restored(answer) == {
        "choices": [
            {
                "message": {
                    "content": f"Chào {text}",
                    "tool_calls": [{"function": {"arguments": '{"ten": "Lê \\"Ba\\" An"}'}}],
                }
            }
        ],
        "content": [{"type": "tool_use", "input": {text: [text, 1, None]}}],
    }


def test_nothing_shows_or_takes_away_the_values() -> None:
    redaction = Redaction()
    redaction.redact("Nguyễn Văn An, 0912345678", find("Nguyễn Văn An, 0912345678"))
    assert repr(redaction) == str(redaction) == "<Redaction PERSON: 1, PHONE: 1>"
    assert redaction.counts == {"PERSON": 1, "PHONE": 1}
    assert not hasattr(redaction, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(redaction)
    with pytest.raises(TypeError):
        copy.deepcopy(redaction)


@given(st.text())
def test_any_kind_makes_a_placeholder_that_is_known_again(kind: str) -> None:
    redaction = Redaction()
    said = redaction.redact("giá trị", [Span(0, 7, kind)])
    assert re.fullmatch(r"<[A-Z_]+_1>", said)
    assert redaction.restore(said) == "giá trị"
    assert plain_kind(plain_kind(kind)) == plain_kind(kind)


def test_spellings_are_counted_in_letters() -> None:
    made = [letters(number) for number in range(30)]
    assert made[:4] == ["", "b", "c", "d"]
    assert made[25:29] == ["z", "ba", "bb", "bc"]
    assert len({letters(number) for number in range(2000)}) == 2000
    assert str(Placeholder("PERSON", 3, 1)) == "<PERSON_3b>"


def test_a_value_without_what_does_not_tell_it_apart() -> None:
    assert normalised("PHONE", "+84 (912) 345-678") == normalised("PHONE", "0912345678")
    assert normalised("PERSON", " Lê\u00a0 AN ") == "lê an"


@given(
    st.lists(st.text(alphabet="ab.\\1 (", min_size=1, max_size=6), min_size=1, max_size=60),
    st.text("ab.\\1 ("),
)
def test_any_of_many_values_is_found_and_the_longest_first(values: list[str], text: str) -> None:
    plain = "|".join(map(re.escape, sorted(values, key=len, reverse=True)))
    found = [match.span() for match in re.finditer(either(values), text)]
    assert found == [match.span() for match in re.finditer(plain, text)]
