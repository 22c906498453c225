from __future__ import annotations

import unicodedata

import pytest

from noibo.errors import InvalidRequest
from noibo.llm_service.prompt import joined, language, messages


@pytest.mark.parametrize(
    "text",
    [
        "Trí tuệ nhân tạo là gì?",
        "Câu hỏi của bạn",
        "Viết function Python để sort array",
        "Dịch sang tiếng Anh: Xin chào",
        "Xin chào",
        "tri tue nhan tao cua nguoi viet la gi",
        unicodedata.normalize("NFD", "Nội dung chính của tài liệu là gì?"),
    ],
)
def test_vietnamese_is_known_with_its_marks_and_without(text: str) -> None:
    assert language(text) == "vi"


@pytest.mark.parametrize(
    "text",
    [
        "What is AI?",
        "Qu'est-ce qu'un hôtel à Paris ?",
        "¿Qué es esto, señor?",
        "Là-bas",
        "今日は",
        "",
    ],
)
def test_what_is_not_vietnamese_is_not_taken_for_it(text: str) -> None:
    assert language(text) == "en"


def test_the_context_comes_before_the_question_in_the_questions_language() -> None:
    (one,) = messages("Trí tuệ nhân tạo là gì?", "AI là máy biết nghĩ.")
    text = one["content"]
    assert one["role"] == "user"
    assert text.index("AI là máy biết nghĩ.") < text.index("Trí tuệ nhân tạo là gì?")
    assert "bằng tiếng Việt" in text
    assert "own language" in messages("What is AI?", "AI thinks.")[0]["content"]


def test_without_a_context_the_question_is_asked_as_it_stands() -> None:
    for nothing in ("", "  \n", None, []):
        assert messages("What is AI?", nothing) == [{"role": "user", "content": "What is AI?"}]


def test_braces_in_a_context_are_text() -> None:
    assert "{question} {0}" in messages("What?", "{question} {0}")[0]["content"]


def test_passages_are_joined_and_empty_ones_left_out() -> None:
    assert joined(["one ", "", " two"]) == "one\n\ntwo"


def test_a_system_prompt_comes_first() -> None:
    assert messages("What?", "", "Be brief.")[0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("question", ["", " \n\t", None, 5])
def test_an_empty_question_is_refused(question: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages(question, "context")  # type: ignore[arg-type]
    assert caught.value.param == "question"


@pytest.mark.parametrize("context", [5, {"a": "b"}, [1, 2], b"bytes"])
def test_a_context_that_is_no_text_is_refused(context: object) -> None:
    with pytest.raises(InvalidRequest, match="context"):
        messages("What?", context)  # type: ignore[arg-type]


def test_halves_of_characters_are_refused_by_where_they_stand() -> None:
    half = b"a\xe9".decode(errors="surrogateescape")
    said = {"question": half, "context": half, "system": half}
    for name, text in said.items():
        with pytest.raises(InvalidRequest, match="half a character") as caught:
            messages(**({"question": "What?", "context": ""} | {name: text}))
        assert caught.value.param == name
