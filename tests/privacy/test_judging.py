"""What a text is judged to be: by who says what, by what is found, and where nothing is known."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.judgement import Judgement, Reason, said_by_caller
from noibo.privacy.judging import answered, judged, scan, undetected
from noibo.privacy.policy import Policy
from noibo.privacy.sensitivity import Rule
from noibo.privacy.span import Span
from noibo.privacy.walk import Piece
from noibo.settings import Privacy
from noibo.wire import body
from tests.privacy.finding import find

POLICY = Policy()
KEY = "sk-abcdefgh12345678"


def asked(*turns: str, **more: Any) -> body.Fields:
    messages = [{"role": "user", "content": turn} for turn in turns]
    return body.read_fields(json.dumps({"model": "m", "messages": messages, **more}).encode())


def label(fields: body.Fields, *said: Reason, policy: Policy = POLICY) -> str:
    return judged(policy, fields, find, said).label


def test_a_request_of_which_nobody_says_anything_is_internal() -> None:
    judgement = judged(POLICY, asked("Thủ đô của Pháp?"), find)
    assert judgement.label == "internal"
    assert judgement.rule is Rule.LEAVE
    assert [str(one) for one in judgement.reasons] == ["default: internal (nobody says a label)"]


def test_what_is_found_raises_the_label() -> None:
    assert label(asked("Gọi 0912 345 678")) == "personal"
    assert label(asked("x", KEY)) == "secret"
    assert label(asked("x", tools=[{"function": {"description": KEY}}])) == "secret"


def test_a_caller_raises_and_never_lowers() -> None:
    public = Reason("caller", "public")
    assert label(asked("x"), public) == "public"
    assert label(asked("Gọi 0912 345 678"), public) == "personal"
    assert label(asked("x"), public, Reason("model", "secret")) == "secret"
    assert label(asked("x"), public, Reason("user", "internal")) == "internal"
    assert label(asked("x"), Reason("caller", "SECRET ")) == "secret"


def test_a_voice_that_says_nothing_is_none() -> None:
    assert label(asked("x"), Reason("model", ""), Reason("key", "")) == "internal"


@pytest.mark.parametrize("said", ["topsecret", "bí mật", "public, secret", "unknown"])
def test_a_label_that_is_none_stays(said: str) -> None:
    judgement = judged(POLICY, asked("x"), find, said_by_caller(said, {}))
    assert judgement.label == "unknown"
    assert judgement.rule is Rule.STAY
    assert said not in repr(judgement).replace("'unknown'", "")


def test_a_caller_speaks_in_the_header_and_in_the_body_and_the_higher_holds() -> None:
    fields = asked("x", noibo={"label": "personal"})
    assert label(fields, *said_by_caller(None, fields)) == "personal"
    assert label(fields, *said_by_caller("secret", fields)) == "secret"
    assert label(fields, *said_by_caller("public", fields)) == "personal"
    assert said_by_caller(None, asked("x")) == said_by_caller("  ", {}) == []


@pytest.mark.parametrize("said", [3, None, "", ["secret"], {}])
def test_a_label_in_the_body_that_is_no_text_stays(said: Any) -> None:
    fields = asked("x", noibo={"label": said})
    assert label(fields, *said_by_caller(None, fields)) == "unknown"


def failing(text: str) -> list[Span]:
    raise RuntimeError(f"cannot read {text}")


@pytest.mark.parametrize(
    "broken",
    [
        None,
        failing,
        lambda text: [Span(0, len(text) + 1, "PERSON")],
        lambda text: [Span(-1, 1, "PERSON")],
        lambda text: None,
        lambda text: ["PERSON"],
        lambda text: 1 // 0,
    ],
)
def test_a_detector_that_fails_lets_nothing_out(broken: Any) -> None:
    judgement = judged(POLICY, asked("Mật khẩu là x"), broken, [Reason("caller", "public")])
    assert judgement.rule is Rule.STAY
    assert judgement.label == "unknown"
    assert "Mật khẩu" not in str(judgement.as_json())


def test_a_detector_that_takes_too_long_lets_nothing_out() -> None:
    ticks = iter([False, False, True])
    judgement = judged(POLICY, asked("a", "b", "c", "d"), find, late=lambda: next(ticks))
    assert judgement.rule is Rule.STAY
    assert "too long" in str(judgement.deciding[0])


def test_what_cannot_be_parsed_lets_nothing_out() -> None:
    fields = {"messages": msgspec.Raw(b'[{"content": "x"'), "model": body.raw("m")}
    assert judged(POLICY, fields, find).rule is Rule.STAY
    deep = {"messages": msgspec.Raw(b"[" * 5000 + b"]" * 5000)}
    assert judged(POLICY, deep, find).rule is Rule.STAY


def test_a_picture_stays_unless_the_house_lets_pictures_out() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    fields = asked("x", more=[picture])
    fields["messages"] = body.raw([{"role": "user", "content": [picture]}])
    judgement = judged(POLICY, fields, find)
    assert judgement.label == "personal"
    assert judgement.unread
    assert judgement.rule is Rule.STAY  # by rule it would leave redacted, and cannot be
    assert judged(Policy.of(Privacy(unscanned="internal")), fields, find).rule is Rule.LEAVE


def test_without_a_detector_by_wish_what_leaves_redacted_stays() -> None:
    policy = Policy.of(Privacy(detect=False))
    assert judged(policy, asked("Gọi 0912 345 678"), None).rule is Rule.LEAVE
    assert judged(policy, asked("x"), None, [Reason("caller", "personal")]).rule is Rule.STAY


def test_a_number_is_understood_by_what_stands_before_it() -> None:
    assert label(asked("19001234567")) == "internal"
    assert label(asked("Cho tôi số tài khoản:", "19001234567")) == "internal"
    said = {"messages": [{"role": "tool", "content": '{"tài khoản": "19001234567"}'}]}
    assert judged(POLICY, said, find).counts == {"BANK_ACCOUNT": 1}
    assert scan(Piece("", "19001234567", "tài khoản: "), find) == [Span(0, 11, "BANK_ACCOUNT")]


@pytest.mark.parametrize(
    "said",
    [
        "Nguy\\u1ec5n V\\u0103n An",
        "Nguy%E1%BB%85n V%C4%83n An",
        "Nguy&#7877;n V&#x103;n An",
        "kết quả: {'ten': 'Nguy\\u1ec5n V\\u0103n An'}",
    ],
)
def test_a_name_is_found_however_it_is_written(said: str) -> None:
    judgement = judged(POLICY, asked(said), find)
    assert judgement.counts == {"PERSON": 1}
    (span,) = next(iter(judgement.found.values()))
    assert said[span.start : span.end].endswith("An")
    assert said[span.start : span.end].startswith("Nguy")


labels = st.sampled_from(["public", "internal", "personal", "secret", "neu"])
voices = st.builds(Reason, st.sampled_from(["caller", "user", "key", "model", "document"]), labels)
judgements = st.lists(voices, max_size=4).map(lambda said: Judgement.of(POLICY, said))


@given(judgements, judgements, judgements)
def test_joining_only_raises_and_its_order_is_nothing(
    a: Judgement, b: Judgement, c: Judgement
) -> None:
    rank = POLICY.scale.rank
    assert rank(a.joined(b).label) == max(rank(a.label), rank(b.label))
    assert a.joined(b) == b.joined(a)
    assert a.joined(b).joined(c) == a.joined(b.joined(c))
    assert a.joined(a) == a
    assert a.joined(b).rule == max(a.rule, b.rule)


def test_an_answer_is_at_least_what_it_was_asked() -> None:
    plain = {"choices": [{"message": {"role": "assistant", "content": "Xin chào"}}]}
    found = {"choices": [{"message": {"role": "assistant", "content": f"Khóa: {KEY}"}}]}
    request = judged(POLICY, asked("Gọi 0912 345 678"), find)
    assert answered(request, plain, find).label == "personal"
    assert answered(request, found, find).label == "secret"
    assert answered(request, plain, failing).rule is Rule.STAY
    harmless = judged(POLICY, asked("x"), find, [Reason("caller", "public")])
    assert answered(harmless, plain, find).label == "public"
    assert answered(harmless, found, find).label == "secret"


def test_what_was_judged_once_is_a_voice_in_what_takes_it_up() -> None:
    before = judged(POLICY, asked(KEY), find)
    later = judged(POLICY, asked("x"), find, [before.carried(), Reason("caller", "public")])
    assert later.label == "secret"
    assert str(later.deciding[0]) == "history: secret (detector)"


def test_no_value_is_in_what_a_judgement_tells() -> None:
    judgement = judged(POLICY, asked(f"Nguyễn Văn An 0912 345 678 {KEY}"), find)
    told = f"{judgement!r} {judgement.as_json()} {judgement.carried()}"
    assert not any(value in told for value in ("Nguyễn", "0912", "345", KEY))
    assert judgement.as_json()["found"] == {"PERSON": 1, "PHONE": 1, "API_KEY": 1}


def test_what_nobody_looked_through_stays() -> None:
    assert undetected(POLICY, "timeout").rule is Rule.STAY
    assert (
        undetected(Policy.of(Privacy(rules=dict.fromkeys(POLICY.scale.labels, "leave"))), "x").rule
        is Rule.STAY
    )
