"""Every text of every API's body is found, and can be changed without changing anything else."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.fields import changed, texts
from noibo.privacy.walk import Piece
from noibo.wire import body

CANARY = "chim hoàng yến"


def packed(text: str, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00" + bytes(64)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n").decode()
SEALED = base64.b64encode(bytes(range(256))).decode()


def user(content: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def called(arguments: Any) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


def block(**said: Any) -> dict[str, Any]:
    return user([said])


SAID = {
    "chat": user(CANARY),
    "a part": user([{"type": "text", "text": CANARY}]),
    "the system": {"messages": [{"role": "system", "content": CANARY}]},
    "an answer before": {"messages": [{"role": "assistant", "content": CANARY}]},
    "a refusal": {"messages": [{"role": "assistant", "refusal": CANARY}]},
    "a thought": {"messages": [{"role": "assistant", "reasoning_content": CANARY}]},
    "a speaker": {"messages": [{"role": "user", "name": CANARY, "content": ""}]},
    "a result": {"messages": [{"role": "tool", "tool_call_id": "c", "content": CANARY}]},
    "a result in JSON": user(json.dumps({"rows": [{"name": CANARY}]})),
    "a result in JSON with raw letters": user(json.dumps([{CANARY: 1}], ensure_ascii=False)),
    "arguments": called(json.dumps({"a": {"b": [CANARY]}})),
    "JSON in arguments": called(json.dumps({"a": json.dumps({"b": json.dumps([CANARY])})})),
    "a name in arguments": called(json.dumps({CANARY: 1})),
    "arguments in pieces": called(CANARY + ' {"a": '),
    "arguments of Ollama": called({"id": CANARY}),
    "a function call of old": {"messages": [{"function_call": {"name": "f", "arguments": CANARY}}]},
    "a description of a tool": tool(description=CANARY),
    "the name of a tool": {"tools": [{"type": "function", "function": {"name": CANARY}}]},
    "a schema": tool(parameters={"properties": {"type": {"enum": [CANARY], "type": "string"}}}),
    "a name in a schema": tool(parameters={"properties": {CANARY: {"type": "string"}}}),
    "an answer's schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"title": CANARY}},
        }
    },
    "stop": {"stop": CANARY},
    "stops": {"stop": ["a", CANARY]},
    "metadata": {"metadata": {"id": CANARY}},
    "a name in metadata": {"metadata": {CANARY: "x"}},
    "the user": {"user": CANARY},
    "a prediction": {
        "prediction": {"type": "content", "content": [{"type": "text", "text": CANARY}]}
    },
    "a file's name": block(type="file", file={"filename": CANARY, "file_data": packed("x")}),
    "a file": block(type="file", file={"filename": "a.txt", "file_data": packed(CANARY)}),
    "a file without an address": block(
        type="file", file={"file_data": base64.b64encode(CANARY.encode()).decode()}
    ),
    "a file said to be something else": block(
        type="image_url", image_url={"url": packed(CANARY, "image/png")}
    ),
    "a drawing in text": block(
        type="image_url", image_url={"url": packed(f"<svg>{CANARY}</svg>", "image/svg+xml")}
    ),
    "a completion": {"prompt": CANARY, "suffix": ""},
    "completions": {"prompt": ["a", CANARY]},
    "a suffix": {"prompt": "", "suffix": CANARY},
    "embeddings": {"input": ["a", CANARY]},
    "a response": {"input": CANARY},
    "instructions": {"instructions": CANARY, "input": "x"},
    "an item": {"input": [{"role": "user", "content": [{"type": "input_text", "text": CANARY}]}]},
    "an item's call": {
        "input": [{"type": "function_call", "call_id": "c", "arguments": json.dumps({"a": CANARY})}]
    },
    "an item's result": {
        "input": [{"type": "function_call_output", "call_id": "c", "output": CANARY}]
    },
    "an item's thoughts": {
        "input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": CANARY}]}]
    },
    "an item's file": {
        "input": [
            {"content": [{"type": "input_file", "filename": CANARY, "file_data": packed("x")}]}
        ]
    },
    "variables of a prompt": {"prompt": {"id": "p_1", "variables": {"id": CANARY}}},
    "Anthropic's system": {"system": CANARY},
    "Anthropic's system in parts": {"system": [{"type": "text", "text": CANARY}]},
    "Anthropic's call": block(type="tool_use", id="t", name="f", input={"type": CANARY, "n": 1}),
    "Anthropic's result": block(type="tool_result", tool_use_id="t", content=CANARY),
    "Anthropic's result in parts": block(
        type="tool_result", tool_use_id="t", content=[{"type": "text", "text": CANARY}]
    ),
    "Anthropic's thoughts": block(type="thinking", thinking=CANARY, signature="x"),
    "Anthropic's document": block(
        type="document",
        title="t",
        source={"type": "text", "media_type": "text/plain", "data": CANARY},
    ),
    "Anthropic's document in base64": block(
        type="document",
        source={
            "type": "base64",
            "media_type": "text/plain",
            "data": base64.b64encode(CANARY.encode()).decode(),
        },
    ),
    "a document's title": block(
        type="document", title=CANARY, source={"type": "text", "data": "x"}
    ),
    "a document's context": block(
        type="document", context=CANARY, source={"type": "text", "data": "x"}
    ),
    "a search result": block(
        type="search_result", source="s", title="t", content=[{"type": "text", "text": CANARY}]
    ),
    "Anthropic's user": {"metadata": {"user_id": CANARY}},
    "Anthropic's tool": {"tools": [{"name": "f", "input_schema": {"description": CANARY}}]},
    "Ollama's prompt": {"prompt": CANARY, "system": "", "template": ""},
    "Ollama's template": {"prompt": "", "template": CANARY},
    "Ollama's schema": {"messages": [], "format": {"properties": {"a": {"const": CANARY}}}},
    "Ollama's options": {"options": {"stop": [CANARY], "seed": 1}},
    "a rerank": {"query": CANARY, "documents": ["a"]},
    "documents": {"query": "a", "documents": ["a", {"text": CANARY}]},
    "a field that nobody knows": {"neu": CANARY},
    "an object that nobody knows": {"neu": {"id": [{"role": CANARY}]}},
    "a place where an id should be": {"messages": [{"role": "tool", "tool_call_id": CANARY}]},
    "an answer": {"choices": [{"message": {"content": CANARY}}]},
    "an answer of Anthropic's": {"type": "message", "content": [{"type": "text", "text": CANARY}]},
    "an answer of Ollama's": {"message": {"content": CANARY}, "done": True},
    "an answer that cites": {
        "choices": [
            {
                "message": {
                    "content": "x",
                    "annotations": [
                        {"type": "url_citation", "url_citation": {"url": "u", "title": CANARY}}
                    ],
                }
            }
        ]
    },
    "a response's answer": {
        "output": [{"type": "message", "content": [{"type": "output_text", "text": CANARY}]}]
    },
}


def fields(said: dict[str, Any]) -> body.Fields:
    return body.read_fields(json.dumps(said).encode())


def decoded(said: dict[str, Any]) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in said.items()}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
def test_the_text_is_found_and_changed(said: dict[str, Any]) -> None:
    found = texts(fields(said))
    assert any(CANARY in piece.text for piece in found.pieces)
    assert found.unread == ()

    made = changed(fields(said), lambda piece: piece.text.replace(CANARY, "<X_1>"))
    assert not any(CANARY in piece.text for piece in texts(made).pieces)
    back = changed(made, lambda piece: piece.text.replace("<X_1>", CANARY))
    assert texts(back) == found


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
def test_what_is_not_changed_keeps_its_bytes(said: dict[str, Any]) -> None:
    asked = fields(said)
    made = changed(asked, lambda piece: piece.text)
    assert {name: bytes(value) for name, value in made.items()} == {
        name: bytes(value) for name, value in asked.items()
    }


UNREAD = {
    "a picture": block(type="image_url", image_url={"url": f"data:image/png;base64,{PNG}"}),
    "a picture of the responses": {
        "input": [
            {"content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]}
        ]
    },
    "a picture elsewhere": block(type="image_url", image_url={"url": "https://a.vn/x.png"}),
    "Anthropic's picture": block(
        type="image", source={"type": "base64", "media_type": "image/png", "data": PNG}
    ),
    "Anthropic's picture elsewhere": block(
        type="image", source={"type": "url", "url": "https://a.vn/x.png"}
    ),
    "Ollama's pictures": {"messages": [{"role": "user", "content": "x", "images": [PNG]}]},
    "Ollama's pictures of a prompt": {"prompt": "x", "images": [PNG]},
    "sound": block(type="input_audio", input_audio={"data": PNG, "format": "wav"}),
    "a PDF": block(type="file", file={"file_data": f"data:application/pdf;base64,{PDF}"}),
    "a PDF said to be a text": block(
        type="file", file={"file_data": f"data:text/plain;base64,{PDF}"}
    ),
    "a file that lies elsewhere": block(type="file", file={"file_id": "file-1"}),
    "an item's file elsewhere": {
        "input": [{"content": [{"type": "input_file", "file_url": "https://a.vn/x.pdf"}]}]
    },
    "a document elsewhere": block(type="document", source={"type": "url", "url": "https://a.vn/x"}),
    "tokens": {"prompt": [1, 2, 3]},
    "lists of tokens": {"input": [[1, 2], [3]]},
    "tokens of a conversation": {"prompt": "x", "context": [1, 2, 3]},
    "arguments that are no JSON": called('{"a": "Nguy\\u1ec5n'),
    "a picture in a result": {
        "messages": [{"role": "tool", "content": json.dumps({"data": PNG.rstrip("=") * 4})}]
    },
    "broken base64": block(type="file", file={"file_data": "data:text/plain;base64,!!"}),
}


@pytest.mark.parametrize("said", UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_be_looked_into_is_named(said: dict[str, Any]) -> None:
    assert texts(fields(said)).unread


@pytest.mark.parametrize(
    "said",
    [
        {"model": "gpt-4o", "stream": True, "temperature": 0.1, "seed": 12345678901},
        {"messages": [{"role": "tool", "tool_call_id": "call_1"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": SEALED}]},
        block(type="redacted_thinking", data=SEALED),
        {"reasoning_effort": "low", "service_tier": "auto", "tool_choice": "auto"},
        {"noibo": {"label": "secret", "note": CANARY}},
    ],
)
def test_what_is_never_content_is_left_alone(said: dict[str, Any]) -> None:
    assert texts(fields(said)) == texts({})


def test_a_number_in_data_is_a_text_and_elsewhere_it_is_not() -> None:
    asked = {**called('{"tai_khoan": 19001234567, "n": 3}'), "seed": 19001234567}
    found = [piece for piece in texts(fields(asked)).pieces if piece.text.isdigit()]
    assert [(piece.text, piece.context) for piece in found] == [("19001234567", "tai_khoan: ")]
    made = changed(fields(asked), lambda one: "<B_1>" if one.text.isdigit() else one.text)
    arguments = decoded(made)["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert arguments == '{"tai_khoan": "<B_1>", "n": 3}'


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"seed": 84912345678, "created": 1763890000, "max_tokens": 10000000}, []),
        ({"logit_bias": {"50256": -100}}, []),
        ({"usage": {"total_duration": 5000000000}}, ["5000000000"]),
        ({"user": 84912345678}, ["84912345678"]),
        ({"neu": [84912345678, 12]}, ["84912345678"]),
        ({"messages": [{"content": "", "neu": 84912345678}]}, ["84912345678"]),
    ],
)
def test_numbers_that_nobody_knows_are_looked_at(said: dict[str, Any], found: list[str]) -> None:
    assert [piece.text for piece in texts(fields(said)).pieces] == found


def test_json_inside_a_text_keeps_all_that_is_not_changed() -> None:
    said = '{\n "a" :1.50,"b": "x\\u1ec5\\/y",  "c":[ 1e3, null, "Tên"]}'
    made = changed(called(said), lambda piece: piece.text.replace("Tên", "<P_1>"))
    arguments = made["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert arguments == said.replace("Tên", "<P_1>")


def test_a_text_comes_with_what_was_said_before_it() -> None:
    asked = {
        "messages": [
            {"role": "assistant", "content": "Số tài khoản của anh?"},
            {"role": "user", "content": "19001234567"},
        ]
    }
    *_, last = texts(asked).pieces
    before = "Số tài khoản của anh?"
    assert last == Piece("messages[1].content", "19001234567", f"{before}\n", ends=(before,))


def test_what_a_model_reads_last_is_walked_last() -> None:
    asked = {"messages": [{"content": "c"}], "tools": [{"name": "f"}], "system": "s"}
    assert [piece.text for piece in texts(asked).pieces] == ["s", "f", "c"]


NAMES = (
    "messages content text input arguments parameters tools function name id type data source "
    "metadata system role output items images url file neu Tên"
)
names = st.sampled_from(NAMES.split())
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.floats(-1, 1))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)


@given(st.dictionaries(names, values, max_size=4))
def test_no_body_is_damaged_by_the_walk(said: dict[str, Any]) -> None:
    asked = {name: body.raw(value) for name, value in said.items()}
    before = {name: bytes(value) for name, value in asked.items()}
    made = changed(asked, lambda piece: piece.text)
    assert {name: bytes(value) for name, value in made.items()} == before


@given(st.data(), st.dictionaries(names, values, min_size=1, max_size=4))
def test_a_sentence_is_found_wherever_it_stands(data: st.DataObject, said: dict[str, Any]) -> None:
    tree: Any = said
    planted = False
    while not planted:
        key = data.draw(
            st.sampled_from(sorted(tree) if isinstance(tree, dict) else range(len(tree)))
        )
        if isinstance(tree[key], dict | list) and tree[key]:
            tree = tree[key]
        else:
            tree[key], planted = "Tôi là: chim hoàng yến!", True
    found = texts({name: body.raw(value) for name, value in said.items()})
    assert any(CANARY in piece.text for piece in found.pieces) or found.unread
