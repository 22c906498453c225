"""Whatever way a number or a key is written in, and wherever it stands, it does not leave."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from noibo.errors import MustStay
from noibo.privacy.detector import Detector
from noibo.privacy.judging import judged
from noibo.privacy.outgoing import Outgoing, outgoing
from noibo.privacy.policy import Policy

FIND = Detector().find
QUIET = Policy(instructs=False)
CCCD = "001085012345"
CARD = 4111111111111111
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
HELLO = {"role": "user", "content": "Hello"}


def leaving(body: dict[str, Any]) -> Outgoing | None:
    """None for what stays."""
    judgement = judged(QUIET, body, FIND)
    try:
        return outgoing(judgement, body, FIND)
    except MustStay:
        return None


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(sign), sign) for sign in text)


WRITTEN: dict[str, Callable[[str], str]] = {
    "full-width": lambda text: "".join(chr(ord(sign) + 0xFEE0) for sign in text),
    "with joiners": "\u200b".join,
    "with tags": "\U000e0041".join,
    "with selectors": "\U000e0100".join,
    "with blank letters": "\u3164".join,
    "with empty braille": "\u2800".join,
    "struck through": each("{1}\u0336"),
    "as keys on a telephone": each("{1}\ufe0f\u20e3"),
    "escaped in JSON": each("\\u{0:04x}"),
    "escaped in JSON in JSON": each("\\\\u{0:04x}"),
    "escaped in JavaScript": each("\\u{{{0:x}}}"),
    "escaped in Python": each("\\U{0:08x}"),
    "as bytes": each("\\x{0:02x}"),
    "in an address": each("%{0:02X}"),
    "in an address in an address": each("%25{0:02X}"),
    "in HTML": each("&#{0};"),
    "in HTML, with noughts": each("&#{0:09};"),
    "in a mail": each("={0:02X}"),
}
PACKED: dict[str, Callable[[str], str]] = {
    "base64": b64,
    "base64 in base64": lambda text: b64(f"see {b64(text)}"),
    "hexadecimal": lambda text: text.encode().hex(),
    "an address": lambda text: f"data:text/plain;base64,{b64(text)}",
    "an address without base64": lambda text: f"data:,{text}",
    "a picture that is none": lambda text: f"![x](data:image/png;base64,{b64(text)})",
    "JSON in base64": lambda text: b64(json.dumps({"cccd": text})),
    "lines of a mail": lambda text: base64.encodebytes(f"{'x ' * 50}{text}".encode()).decode(),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_a_number_is_found_in_any_writing_and_told_back_as_it_was(
    write: Callable[[str], str],
) -> None:
    text = f"CCCD: {write(CCCD)} nhé"
    made = leaving(said(text))
    assert made
    content = made.fields["messages"][0]["content"]
    assert write(CCCD) not in content and "<CCCD_1>" in content
    assert made.redaction.restore(content) == text
    assert leaving(said(f"My key is {write(KEY)}")) is None


@pytest.mark.parametrize("sign", "_|,·•~*:;=")
def test_a_number_in_groups_is_found_whatever_stands_between_them(sign: str) -> None:
    for groups in (("4111", "1111", "1111", "1111"), ("001", "085", "012", "345")):
        made = leaving(said(f"Số {sign.join(groups)} nhé"))
        assert made and groups[-1] not in made.fields["messages"][0]["content"]
    for text in (f"giá {sign.join(('123', '456', '789'))}", sign.join(("4000", "5000", "6000"))):
        made = leaving(said(text))
        assert made and made.fields == said(text)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_what_is_packed_in_a_sentence_is_looked_into(pack: Callable[[str], str]) -> None:
    made = leaving(said(f"Decode this: {pack(CCCD)} please"))
    assert made and made.redaction.values == 1
    content = made.fields["messages"][0]["content"]
    assert pack(CCCD) not in content
    assert content.startswith("Decode this: ") and content.endswith(" please")
    assert leaving(said(f"Decode this: {pack(KEY)} please")) is None


@pytest.mark.parametrize(
    "text",
    [
        f"sha256 {'9f86d081884c7d659a2feaa0c55ad015' * 2}",
        "the internationalization of /usr/share/applications/responsibilities",
        f"integrity=sha384-{base64.b64encode(bytes(range(200, 248))).decode()}",
        f"Decode {b64('The sky is blue, and grass is green.')}",
    ],
)
def test_what_says_nothing_leaves_as_it_is(text: str) -> None:
    made = leaving(said(text))
    assert made and made.fields == said(text)


def test_a_picture_in_a_sentence_is_one_that_cannot_be_looked_into() -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
    judgement = judged(QUIET, said(f"See ![it](data:image/png;base64,{picture}), please"), FIND)
    assert (judgement.label, judgement.may_leave) == ("personal", False)


@pytest.mark.parametrize(
    "beside",
    ["__{}__", "**{}**", "~~{}~~", "“{}”", "«{}»", "‘{}’", "→{}", "—{}", "khoá {}", "%22{}%22"],
)
def test_a_key_is_found_beside_any_sign(beside: str) -> None:
    assert leaving(said(f"Khoá: {beside.format(KEY)} nhé")) is None
    made = leaving(said(f"Gửi {beside.format('lan.nguyen@congty-abc.vn')} nhé"))
    assert made and "congty" not in made.fields["messages"][0]["content"]


WORDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "the id of a call": lambda it: {"messages": [{"role": "tool", "tool_call_id": it}]},
    "a role": lambda it: {"messages": [{"role": it, "content": "Hi"}]},
    "the choice of a tool": lambda it: {"messages": [HELLO], "tool_choice": it},
    "an effort": lambda it: {"messages": [HELLO], "reasoning_effort": it},
    "a tier": lambda it: {"messages": [HELLO], "service_tier": it},
    "a kind": lambda it: {"messages": [HELLO], "tools": [{"type": it}]},
    "a signature": lambda it: {"messages": [{"content": [{"type": "x", "signature": it}]}]},
    "hidden thoughts": lambda it: {
        "messages": [{"content": [{"type": "redacted_thinking", "data": it}]}]
    },
    "a user": lambda it: {"messages": [HELLO], "user": it},
    "a word that never comes": lambda it: {"messages": [HELLO], "stop": [it]},
    "a likely token": lambda it: {"messages": [HELLO], "logit_bias": {it: 1}},
    "a field nobody knows": lambda it: {"messages": [HELLO], it: True},
}


@pytest.mark.parametrize("body", WORDS.values(), ids=WORDS)
def test_where_a_word_of_the_protocol_stands_a_secret_is_found(
    body: Callable[[str], dict[str, Any]],
) -> None:
    assert leaving(body(KEY)) is None
    made = leaving(body(f"CCCD-{CCCD}"))
    assert made and CCCD not in json.dumps(made.fields)


@pytest.mark.parametrize("number", [CARD, float(CARD), -CARD])
def test_a_number_is_found_as_whatever_it_is_written(number: float) -> None:
    made = leaving({"messages": [HELLO], "metadata": {"card": number}})
    assert made and str(CARD) not in json.dumps(made.fields)
    arguments = json.dumps({"card": number})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    made = leaving({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert made and str(CARD) not in json.dumps(made.fields)


def turns(*texts: str) -> dict[str, Any]:
    who = ("user", "assistant")
    return {"messages": [{"role": who[i % 2], "content": text} for i, text in enumerate(texts)]}


def parts(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": t} for t in texts]}]}


@pytest.mark.parametrize(
    "body",
    [
        parts("CCCD 001085", "012345"),
        parts("4111 1111", "1111 1111 is mine"),
        parts("write to lan.nguyen@", "congty-abc.vn today"),
        turns("CCCD 001085", "And?", "012345"),
        turns("CCCD 001085", "", "012345"),
        turns("4111 1111", "", "1111 1111"),
        {"prompt": ["CCCD 001085", "012345"]},
    ],
)
def test_of_what_is_cut_in_two_the_second_half_is_hidden(body: dict[str, Any]) -> None:
    made = leaving(body)
    assert made and made.redaction.values == 1
    for half in ("012345", "1111 1111 is", '1111 1111"}', "congty"):
        assert half not in json.dumps(made.fields)


def test_a_key_in_two_halves_stays() -> None:
    assert leaving(parts(f"The key: {KEY[:20]}", KEY[20:])) is None
    assert leaving(turns(KEY[:20], "Go on.", KEY[20:])) is None


def test_two_texts_that_say_nothing_together_are_not_joined() -> None:
    for body in (
        turns("Email: nam.le@congty.vn", "Tóm tắt hồ sơ này."),
        parts("It was in 2023", "5 ways to say it"),
        turns("15", "20", "35 people"),
    ):
        made = leaving(body)
        assert made
        last = made.fields["messages"][-1]["content"]
        assert last == body["messages"][-1]["content"]
