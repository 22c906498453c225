from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.routing import answer_faults as faults
from noibo.routing.agreement import agreement, gist
from noibo.routing.confidence import Calibration, Confidence, entropy_of, fit
from noibo.routing.formats import broken_json, wrong_calls
from noibo.routing.judge_model import grade_of, judge_request
from noibo.routing.judging import Answer, Asked, Evidence, judge
from noibo.routing.languages import language_of
from noibo.routing.own_answers import OwnAnswers

# ── refusals ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, I am not able to share details on this.",
        "As an AI language model, I don't have personal opinions.",
        "I cannot provide medical advice. Please see a doctor.",
        "Unfortunately I don't have access to real-time data.",
        "I don't know the answer to this.",
        "There is not enough information in the text to say.",
        "Xin lỗi, tôi không thể trả lời câu hỏi này.",
        "Tôi rất tiếc, nhưng tôi không có thông tin về vấn đề này.",
        "Rất tiếc, hiện mình không có dữ liệu về doanh thu năm 2023.",
        "Là một mô hình ngôn ngữ, tôi không thể truy cập Internet.",
        "Tôi không biết.",
        "<think>The user wants X.</think>I'm unable to assist with this request.",
    ],
)
def test_a_refusal_is_known(text: str) -> None:
    assert faults.is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I cannot recommend this restaurant enough: the phở is superb.",
        "You can't divide by zero, because no number times zero is one.",
        "Sorry for the delay! The meeting is at 9.",
        "Hà Nội là thủ đô của Việt Nam. Xin lỗi vì trả lời muộn.",
        "Không thể chia cho số không, vì phép chia đó không xác định.",
        "He said he didn't know, and that nobody could help him.",
        "The unknown is often what people fear most.",
        "Bạn không thể gửi quá 25 MB trong một thư.",
    ],
)
def test_an_answer_that_speaks_of_what_cannot_be_is_no_refusal(text: str) -> None:
    assert not faults.is_refusal(text)


def test_words_that_somebody_else_is_to_say_are_no_refusal() -> None:
    asked = "Dịch sang tiếng Anh: Tôi không thể giúp bạn."
    assert not faults.is_refusal("I can't help you.", asked)
    assert not faults.is_refusal(
        "Dear Mr Lee, I am sorry that we cannot offer you the post.", "Write a rejection letter."
    )


# ── loops ───────────────────────────────────────────────────────────────────

PROSE = (
    "Water boils at a lower temperature in the mountains because the air above presses less on its "
    "surface. Bubbles of steam can then form more easily. That is why eggs take longer there, and "
    "why a pressure cooker helps: it brings the pressure back that the height has taken away. "
    "Nước sôi ở nhiệt độ thấp hơn trên núi vì không khí loãng hơn và áp suất nhỏ hơn ở đồng bằng."
)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 4. " * 6,
        "Đúng vậy, đúng vậy, " * 8,
        "no " * 15,
        PROSE + " And so on and so forth" + " and so on and so forth" * 4 + " and so",
        "\n".join(f"{n}. Buy milk and bread for the week" for n in range(1, 30)),
    ],
)
def test_a_loop_is_known(text: str) -> None:
    assert faults.is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Yes, yes, yes!",
        "| a | b |\n| - | - |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |",
        "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "1. Eat well.\n2. Sleep eight hours.\n3. Walk each day.\n4. See friends.\n5. Read a book.",
        "for i in range(3):\n    for j in range(3):\n        for k in range(3):\n            f(i)",
    ],
)
def test_what_only_looks_alike_is_no_loop(text: str) -> None:
    assert not faults.is_loop(text)


def test_who_asks_for_repetition_gets_it() -> None:
    assert not faults.is_loop("hello " * 20, "Say hello 20 times")


@given(st.lists(st.text(max_size=6), max_size=200).map(" ".join))
def test_any_text_is_judged(text: str) -> None:
    faults.is_loop(text)
    faults.is_refusal(text, text)
    faults.other_language(text, text[::-1])
    assert not faults.is_echo(text, "")


# ── languages ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Thủ đô của Việt Nam là gì?", "vi"),
        ("thu do cua viet nam la gi va o dau", "vi"),
        ("cho toi biet cach nau pho bo tai nha", "vi"),
        ("What is the capital of France?", "en"),
        ("Please list the three steps that we should take first.", "en"),
        ("Столица Франции — Париж.", "ru"),
        ("法国的首都是巴黎。", "zh"),
        ("フランスの首都はパリです。", "ja"),
        ("프랑스의 수도는 파리입니다.", "ko"),
        ("L'Étoile est la capitale de la France, et une des plus grandes villes.", "fr"),
        ("El sol es una estrella, y los planetas giran con ella.", "es"),
        ("Der Hund ist nicht im Haus, und die Katze auch nicht.", "de"),
        ("L'Étoile, est la capital de France.", ""),
        ("Il gatto dorme sul tavolo della cucina con la nonna.", ""),
        ("Kucing itu tidur di atas meja dapur nenek saya.", ""),
        ("Paris", ""),
        ("42", ""),
        ("```python\nfor the in of and to:\n    print(what)\n```", ""),
        ("Trí tuệ nhân tạo (Artificial Intelligence) là khả năng của máy móc.", "vi"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("answer", "question", "found"),
    [
        ("The capital of Vietnam is Hanoi, in the north.", "Thủ đô của Việt Nam là gì?", "en"),
        ("Hà Nội là thủ đô của Việt Nam.", "What is the capital of Vietnam?", "vi"),
        ("Hà Nội.", "What is the capital of Vietnam?", ""),
        ("The capital of Vietnam is Hanoi.", "What is the capital of Vietnam?", ""),
        ("Hello, how are you today?", "Dịch sang tiếng Anh: Xin chào, bạn khoẻ không?", ""),
        (
            "Doanh thu quý này tăng 增长 đáng kể so với 去年同期 năm trước.",
            "Tóm tắt doanh thu?",
            "zh",
        ),
        ("你好 means hello.", "What does 你好 mean?", ""),
    ],
)
def test_an_answer_in_another_language_is_known(answer: str, question: str, found: str) -> None:
    assert faults.other_language(answer, question) == found


# ── forms ───────────────────────────────────────────────────────────────────

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"name": "An", "age": 3, "tags": ["a"]}, ""),
        ({"name": "An", "next": {"name": "Bình", "next": None}}, ""),
        ({"age": 3}, "lacks name"),
        ({"name": "An", "age": "three"}, "age is no integer"),
        ({"name": "An", "age": True}, "age is no integer"),
        ({"name": "An", "tags": ["a", "c"]}, "tags [1] is none of the listed values"),
        ({"name": "An", "town": "Huế"}, "has town, which must not be there"),
        ({"name": "An", "next": {"age": 1}}, "next is none of anyOf"),
        (["An"], "is no object"),
    ],
)
def test_a_schema_is_held_against_an_answer(value: object, wrong: str) -> None:
    assert broken_json(json.dumps(value), SCHEMA) == wrong


def test_json_in_a_fence_is_no_json_where_json_was_asked_for() -> None:
    assert broken_json('```json\n{"a": 1}\n```') == "is no JSON"


def test_calls_of_tools_are_held_against_the_tools() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]

    def call(name: str, arguments: str) -> list[dict[str, Any]]:
        return [{"function": {"name": name, "arguments": arguments}}]

    assert wrong_calls(call("weather", '{"name": "Huế"}'), tools) == ""
    assert "there is not" in wrong_calls(call("wether", "{}"), tools)
    assert "no JSON" in wrong_calls(call("weather", '{"name": '), tools)


def test_a_schema_that_leads_to_itself_has_an_end() -> None:
    itself = {"$ref": "#"}
    schema = {"type": "object", "anyOf": [itself] * 20}
    assert broken_json('"x"', schema) == ""  # nobody can tell


@pytest.mark.parametrize(
    "schema",
    [{"properties": 5}, {"required": 5}, {"required": [{}]}, {"enum": 5}, {"type": {}}],
)
def test_what_is_no_schema_finds_nothing_wrong(schema: dict[str, Any]) -> None:
    assert broken_json('{"a": 1}', schema) == ""


@pytest.mark.parametrize(
    "said",
    [
        {"choices": ["x"]},
        {"choices": [{"message": [1]}]},
        {"choices": [{"message": {"content": None, "tool_calls": 5}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [5]}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"name": []}}]}}]},
        {"choices": [{"logprobs": {"content": [{"logprob": -1, "top_logprobs": [3]}]}}]},
        {"choices": [{"logprobs": {"content": [{"logprob": -1, "top_logprobs": 7}]}}]},
        {"choices": [{"logprobs": {"content": [{"logprob": 10**400}]}}]},
    ],
)
def test_an_answer_in_no_known_shape_is_not_good(said: dict[str, Any]) -> None:
    asked = Asked.of_chat(
        {"tools": [5, {"function": {"name": []}}], "response_format": {"type": []}}
    )
    assert not judge(Answer.of_chat(said), asked).good


# ── confidence ──────────────────────────────────────────────────────────────


def choice(*logprobs: float) -> dict[str, Any]:
    rows = [{"logprob": one, "top_logprobs": [{"logprob": one}]} for one in logprobs]
    return {"logprobs": {"content": rows}}


def test_signals_are_read_from_an_answer() -> None:
    found = Confidence.of_chat(choice(-0.1, -2.0, -0.3))
    assert found is not None
    assert (found.tokens, found.least) == (3, -2.0)
    assert math.isclose(found.mean, -0.8)
    assert found.entropy is not None and found.entropy > 0
    assert Confidence.of_chat({"logprobs": None}) is None
    assert Confidence.of_chat({"logprobs": {"content": [{"logprob": None}, 7]}}) is None


def test_entropy_is_nothing_for_what_is_certain_and_large_for_a_tie() -> None:
    assert entropy_of([0.0]) == pytest.approx(0, abs=1e-9)
    assert entropy_of([math.log(0.5), math.log(0.5)]) == pytest.approx(math.log(2))


def learnt(several: bool) -> tuple[Calibration, list[Confidence], list[bool]]:
    chance, answers, right = random.Random(3), [], []
    for _ in range(400):
        good = chance.random() < 0.6
        mean = chance.gauss(-0.4 if good else -1.2, 0.3)
        share = (0.9 if good else 0.5) if several else None
        answers.append(Confidence(10, mean, mean * 3, None, share))
        right.append(good)
    return fit(answers, right), answers, right


@pytest.mark.parametrize("several", [False, True])
def test_a_calibration_is_a_chance(several: bool) -> None:
    calibration, answers, right = learnt(several)
    chances = [calibration.chance(one) for one in answers]
    known = [one for one in chances if one is not None]
    assert len(known) == 400
    assert abs(sum(known) / 400 - sum(right) / 400) < 0.05
    assert calibration.chance(Confidence(10, -0.2, -0.5)) > calibration.chance(  # type: ignore[operator]
        Confidence(10, -2.0, -6.0)
    )


def test_what_is_learnt_from_nothing_says_nothing() -> None:
    empty = Calibration((0.0,) * 5, (1.0,) * 5, (0.0,) * 6, (0.0,) * 5, 0)
    assert empty.chance(Confidence(3, -0.1, -0.2)) is None
    with pytest.raises(ValueError, match="right and answers"):
        fit([Confidence(3, -0.1, -0.2)], [True])


# ── agreement, and a judge ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        (["So the total is 42.", "6 * 7 = 42", "The answer is 41"], 2 / 3),
        (["Hà Nội", "hà nội.", "Huế", "Hà Nội!"], 3 / 4),
        (["The answer is (B).", "Answer: B", "answer: C"], 2 / 3),
        (["1,200", "1200"], 1.0),
        (["x"], 1.0),
        ([PROSE, PROSE.replace("mountains", "hills"), "Nobody has ever found out why."], 2 / 3),
    ],
)
def test_answers_agree(answers: list[str], share: float) -> None:
    assert agreement(answers) == pytest.approx(share)


def test_the_gist_of_a_calculation_is_its_end() -> None:
    assert gist("3 apples and 4 pears.\nAnswer: 7") == ("7",)


@pytest.mark.parametrize(
    ("said", "grade"), [("8", 0.8), ("Grade: 10/10", 1.0), ("0", 0.0), ("good", None), ("", None)]
)
def test_a_grade_is_read(said: str, grade: float | None) -> None:
    assert grade_of(said) == grade


def test_what_is_judged_stands_between_marks_that_nobody_knows() -> None:
    first, second = judge_request("q", "a"), judge_request("q", "a")
    assert first["messages"][0] != second["messages"][0]
    assert first["messages"][1]["content"].count("==") == 6


# ── the verdict ─────────────────────────────────────────────────────────────


def body(text: str, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("text", "finish", "request_fields", "fault"),
    [
        ("Hà Nội.", "stop", {}, None),
        ("", "stop", {}, "empty"),
        ("...", "stop", {}, "empty"),
        ("<think>hm", "length", {"max_tokens": 5}, "empty"),
        ("Thủ đô của Việt Nam là gì?", "stop", {}, "echo"),
        ("Tôi không biết.", "stop", {}, "refusal"),
        ("Hà Nội là " + "Hà Nội là " * 9, "stop", {}, "loop"),
        ("It is the city of Hanoi, which is in the north.", "stop", {}, "language"),
        ("Hà Nội là thủ", "length", {}, "cut_off"),
        ("Hà Nội là thủ", "length", {"max_tokens": 5}, None),
        ("Hà Nội", "stop", {"response_format": {"type": "json_object"}}, "format"),
        ('{"city": "Hà Nội"}', "stop", {"response_format": {"type": "json_object"}}, None),
        ("```python\nprint(1)", "stop", {}, "unclosed"),
    ],
)
def test_each_fault_is_told_in_both_languages(
    text: str, finish: str, request_fields: dict[str, Any], fault: str | None
) -> None:
    messages = [{"role": "user", "content": "Thủ đô của Việt Nam là gì?"}]
    asked = Asked.of_chat({"messages": messages, **request_fields})
    verdict = judge(Answer.of_chat(body(text, finish)), asked)
    assert verdict.good == (fault is None)
    assert verdict.faults == (() if fault is None else (fault,))
    english, vietnamese = verdict.reasons("en"), verdict.reasons("vi")
    assert english and vietnamese and english != vietnamese


def test_an_unsure_answer_is_not_good_and_a_judge_is_heard() -> None:
    calibration, _, _ = learnt(several=False)
    asked = Asked("Is it so?")
    sure = Answer("It is so, and it was always so.", confidence=Confidence(9, -0.1, -0.4))
    unsure = Answer("It is so, and it was always so.", confidence=Confidence(9, -2.5, -8.0))
    known = Evidence(calibration=calibration)
    assert judge(sure, asked, 0.5, known).good
    assert judge(unsure, asked, 0.5, known).faults == ("unsure",)
    assert judge(sure, asked, 0.5, replace(known, graded=0.2)).faults == ("judge",)
    assert judge(sure, asked, 0.5, Evidence(agreed=1 / 3)).faults == ("disagreement",)


def test_confidence_leads_on_from_what_was_known_before() -> None:
    calibration, _, _ = learnt(several=False)
    sure, unsure = Confidence(9, -0.1, -0.4), Confidence(9, -2.5, -8.0)
    low, high = (Evidence(prior, calibration) for prior in (0.2, 0.8))
    assert 0.2 < low.chance(sure) < high.chance(sure)  # type: ignore[operator]
    assert low.chance(unsure) < high.chance(unsure) < 0.8  # type: ignore[operator]


# ── a model's own answers ───────────────────────────────────────────────────


def test_of_few_answers_only_agreement_is_looked_at() -> None:
    own = OwnAnswers()
    answer = Confidence(9, -0.5, -2.0, 0.4)
    assert Evidence(0.6, own.weigh(answer)).chance(answer) is None
    agreed, not_agreed = (Evidence(0.6, own.calibration(), share) for share in (1.0, 1 / 3))
    assert not_agreed.chance(answer) < 0.6 < agreed.chance(answer)  # type: ignore[operator]


def test_an_answer_stands_out_from_its_own_models_answers() -> None:
    chance, small, large = random.Random(5), OwnAnswers(), OwnAnswers()
    for _ in range(100):
        small.add(Confidence(20, chance.gauss(-2.0, 0.3), chance.gauss(-8, 1), 1.5))
        large.add(Confidence(20, chance.gauss(-0.2, 0.05), chance.gauss(-2, 0.3), 0.2))
    answer = Confidence(20, -1.0, -5.0, 0.8)
    by_small, by_large = (Evidence(0.5, own.calibration()).chance(answer) for own in (small, large))
    assert by_large is not None and by_small is not None
    assert by_large < 0.5 < by_small


def test_only_the_last_answers_count() -> None:
    own = OwnAnswers()
    for _ in range(700):
        own.add(Confidence(20, -1.0, -2.0))
    assert len(own) == 500


@pytest.mark.parametrize("strange", [{}, {"choices": []}, {"choices": [{}]}, {"choices": None}])
def test_an_answer_of_a_strange_shape_is_empty(strange: dict[str, Any]) -> None:
    assert judge(Answer.of_chat(strange), Asked()).faults == ("empty",)
