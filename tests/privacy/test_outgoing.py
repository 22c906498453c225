"""What leaves: as it is, with placeholders, or not at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from noibo.errors import MustStay
from noibo.privacy.judgement import Judgement, Reason
from noibo.privacy.judging import judged
from noibo.privacy.notice import NOTICE
from noibo.privacy.outgoing import outgoing
from noibo.privacy.policy import Policy
from noibo.settings import Privacy
from noibo.wire import body
from tests.privacy.finding import find

CHAT = "/v1/chat/completions"
QUIET = Policy.of(Privacy(instruct=False))
ARGUMENTS = '{"ten": "Nguy\\u1ec5n V\\u0103n An", "tai_khoan": 12}'


def asked(**said: Any) -> body.Fields:
    return body.read_fields(json.dumps(said).encode())


def decoded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in fields.items()}


def sent(fields: body.Fields, policy: Policy = QUIET, path: str = CHAT) -> dict[str, Any]:
    return decoded(outgoing(judged(policy, fields, find), fields, find, path).fields)


def user(*turns: str) -> body.Fields:
    return asked(messages=[{"role": "user", "content": turn} for turn in turns])


def contents(made: dict[str, Any]) -> list[str]:
    return [message["content"] for message in made["messages"]]


def test_what_may_leave_leaves_byte_for_byte_but_for_what_is_noibos() -> None:
    fields = asked(model="m", noibo={"label": "public"}, messages=[{"content": "Xin chào"}], n=1)
    made = outgoing(judged(QUIET, fields, find), fields, find)
    assert made.fields == {name: value for name, value in fields.items() if name != "noibo"}
    assert not made.redaction


def test_what_is_personal_leaves_with_placeholders_everywhere() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": ARGUMENTS}}
    fields = asked(
        messages=[
            {"role": "system", "content": "Khách: Nguyễn Văn An"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": '["0912 345 678"]'},
            {"role": "user", "name": "an@b.vn", "content": [{"type": "text", "text": "an@b.vn?"}]},
        ],
        metadata={"ai": "Nguyễn Văn An"},
    )
    made = sent(fields)
    assert made["metadata"] == {"ai": "<PERSON_1>"}
    system, call, result, turn = made["messages"]
    assert system["content"] == "Khách: <PERSON_1>"
    arguments = json.loads(call["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"ten": "<PERSON_1>", "tai_khoan": 12}
    assert result["content"] == '["<PHONE_1>"]'
    assert (turn["name"], turn["content"][0]["text"]) == ("EMAIL_1", "<EMAIL_1>?")


def test_an_answer_comes_back_with_the_values() -> None:
    fields = user("Nguyễn Văn An, 0912 345 678")
    made = outgoing(judged(QUIET, fields, find), fields, find, CHAT)
    assert (
        made.redaction.restore("Gọi <PERSON_1>: <PHONE_1>.") == "Gọi Nguyễn Văn An: 0912 345 678."
    )
    assert made.redaction.counts == {"PERSON": 1, "PHONE": 1}


def test_a_turn_more_changes_nothing_of_those_before() -> None:
    turns = ["Nguyễn Văn An?", "<PERSON_2>, Trần Thị Bình", "0912345678", "Lê Hoàng Nam <PERSON_1>"]
    whole = contents(sent(user(*turns)))
    for number in range(1, len(turns)):
        assert contents(sent(user(*turns[:number]))) == whole[:number]


def test_a_value_that_is_found_once_is_hidden_wherever_it_stands() -> None:
    made = sent(user("Số nào?", "tài khoản: 19001234567", "Chuyển vào 19001234567 nhé"))
    assert contents(made)[1:] == ["tài khoản: <BANK_ACCOUNT_1>", "Chuyển vào <BANK_ACCOUNT_1> nhé"]


def test_what_the_house_lets_out_is_not_hidden() -> None:
    policy = Policy.of(Privacy(types={"IP": "internal"}, instruct=False))
    assert contents(sent(user("Nguyễn Văn An từ 10.0.0.7"), policy)) == ["<PERSON_1> từ 10.0.0.7"]


def test_what_must_stay_does_not_leave_and_says_why() -> None:
    fields = user("Khóa: sk-abcdefgh12345678")
    with pytest.raises(MustStay) as caught:
        sent(fields)
    assert "secret (API_KEY 1)" in caught.value.message
    assert "sk-" not in caught.value.message
    assert caught.value.next_step


def test_a_text_that_was_not_judged_is_looked_through_before_it_leaves() -> None:
    judgement = judged(QUIET, user("Nguyễn Văn An"), find)
    other = user("Trần Thị Bình")
    assert contents(decoded(outgoing(judgement, other, find).fields)) == ["<PERSON_1>"]
    with pytest.raises(MustStay):
        outgoing(judgement, other, None)
    with pytest.raises(MustStay):
        outgoing(judgement, other, lambda text: 1 // 0)  # type: ignore[arg-type,return-value]


def test_what_cannot_be_read_in_the_shape_that_leaves_stays() -> None:
    judgement = Judgement.of(QUIET, [Reason("caller", "personal")])
    part = {"type": "image_url", "image_url": {"url": "https://a.vn/x.png"}}
    fields = asked(messages=[{"role": "user", "content": [part]}])
    with pytest.raises(MustStay, match="cannot be looked into"):
        outgoing(judgement, fields, find)


@pytest.mark.parametrize(
    ("path", "said", "made"),
    [
        (
            CHAT,
            {"messages": [{"role": "user", "content": "x an@b.vn"}]},
            {
                "messages": [
                    {"role": "system", "content": NOTICE},
                    {"role": "user", "content": "x <EMAIL_1>"},
                ]
            },
        ),
        (
            CHAT,
            {"messages": [{"role": "developer", "content": "an@b.vn"}]},
            {"messages": [{"role": "developer", "content": f"<EMAIL_1>\n\n{NOTICE}"}]},
        ),
        (
            CHAT,
            {"messages": [{"role": "system", "content": [{"type": "text", "text": "an@b.vn"}]}]},
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [
                            {"type": "text", "text": "<EMAIL_1>"},
                            {"type": "text", "text": NOTICE},
                        ],
                    }
                ]
            },
        ),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "an@b.vn"}]},
            {"messages": [{"role": "user", "content": "<EMAIL_1>"}], "system": NOTICE},
        ),
        (
            "/v1/messages",
            {"system": [{"type": "text", "text": "an@b.vn"}]},
            {"system": [{"type": "text", "text": "<EMAIL_1>"}, {"type": "text", "text": NOTICE}]},
        ),
        ("/v1/responses", {"input": "an@b.vn"}, {"input": "<EMAIL_1>", "instructions": NOTICE}),
        ("/api/generate", {"prompt": "an@b.vn"}, {"prompt": "<EMAIL_1>", "system": NOTICE}),
        ("/v1/completions", {"prompt": "an@b.vn"}, {"prompt": "<EMAIL_1>"}),
        ("/v1/embeddings", {"input": ["an@b.vn"]}, {"input": ["<EMAIL_1>"]}),
    ],
)
def test_a_model_that_gets_placeholders_is_told_to_keep_them(
    path: str, said: dict[str, Any], made: dict[str, Any]
) -> None:
    assert sent(asked(**said), Policy(), path) == made


def test_a_model_that_gets_none_is_told_nothing() -> None:
    fields = user("Xin chào")
    judgement = judged(Policy(), fields, find, [Reason("caller", "personal")])
    assert outgoing(judgement, fields, find, CHAT).fields == fields
