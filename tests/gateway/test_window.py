"""What is decided of a request that is longer than its window: values only, by any conversation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo import settings
from noibo.errors import ContextExceeded, InvalidRequest
from noibo.gateway.window.cut import Cut
from noibo.gateway.window.fitting import fewest
from noibo.gateway.window.pieces import Pieces
from noibo.gateway.window.policy import Policies, Policy, Wish, by_header
from noibo.gateway.window.room import Limit, Room
from noibo.gateway.window.summary import written
from noibo.gateway.window.turns import Turns
from noibo.wire import anthropic, llama_server, openai

Message = dict[str, Any]
WORDS = st.integers(min_value=0, max_value=40).map(lambda count: "w " * count)


def said(role: str, content: str = "x", **more: Any) -> Message:
    return {"role": role, "content": content, **more}


def call(*ids: str) -> Message:
    calls = [{"id": one, "type": "function", "function": {"name": "f"}} for one in ids]
    return said("assistant", "", tool_calls=calls)


def result(of: str | None) -> Message:
    return said("tool", "1", **({} if of is None else {"tool_call_id": of}))


ids = st.sampled_from("abcd")
messages = st.lists(
    st.one_of(
        st.builds(said, st.sampled_from(["user", "assistant", "system", "developer"]), WORDS),
        st.lists(ids, min_size=1, max_size=2, unique=True).map(lambda some: call(*some)),
        ids.map(result),
    ),
    max_size=14,
)


def made_calls(some: Sequence[Message]) -> set[str]:
    return {one["id"] for message in some for one in message.get("tool_calls", ())}


@given(messages)
def test_nothing_that_stays_lacks_what_it_answers(some: list[Message]) -> None:
    turns = Turns.of(some)
    for dropped in range(turns.droppable + 1):
        kept, gone = turns.without(dropped), turns.dropped(dropped)
        made: set[str] = set()
        for message in kept:
            made |= made_calls([message])
            if (name := message.get("tool_call_id")) and name in made_calls(gone):
                assert name in made
        told = [one for one in some if one["role"] in {"system", "developer"}]
        assert [one for one in kept if one["role"] in {"system", "developer"}] == told
        assert sorted(map(repr, [*kept, *gone])) == sorted(map(repr, some))
        users = [one for one in some if one["role"] == "user"]
        assert not users or users[-1] in kept
        assert not some or some[-1] in kept


def count(some: Sequence[Message]) -> int:
    return 3 + sum(4 + len(one["content"].split()) for one in some)


async def counted(some: Sequence[Message]) -> int:
    return count(some)


@given(messages, st.integers(min_value=1, max_value=300))
def test_as_few_turns_go_as_have_to(some: list[Message], most: int) -> None:
    turns = Turns.of(some)
    dropped, left = anyio.run(fewest, turns, most, counted)
    assert left == count(turns.without(dropped))
    assert left <= most or dropped == turns.droppable
    if dropped and left <= most:
        assert count(turns.without(dropped - 1)) > most


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.one_of(st.none(), st.integers(0, 9999)))
def test_what_is_cut_to_its_room_leaves_room_for_an_answer(
    window: int, prompt: int, limit: int | None
) -> None:
    room = Room(window, Limit(limit))
    assert room.for_prompt <= max(window - 1, 0)
    if room.holds(room.for_prompt):
        assert room.left(room.for_prompt) == 0
    else:
        assert room.left(room.for_prompt) >= window // 2
    if room.surely_holds(prompt, ""):
        assert room.holds(prompt)


@pytest.mark.parametrize(
    ("fields", "limit", "name"),
    [
        ({}, None, "max_tokens"),
        ({"max_tokens": 5}, 5, "max_tokens"),
        ({"max_tokens": 0}, 0, "max_tokens"),
        ({"n_predict": 4096.0}, 4096, "n_predict"),
        ({"n_predict": 1e5}, 100_000, "n_predict"),
        ({"max_tokens": -1}, None, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7, "max_completion_tokens"),
        ({"max_tokens": 5, "n_predict": -2}, None, "n_predict"),
        ({"max_tokens": "many"}, None, "max_tokens"),
    ],
)
def test_a_limit_is_read_as_engines_read_it(
    fields: dict[str, Any], limit: int | None, name: str
) -> None:
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in fields.items()}
    assert Limit.of(raw) == Limit(limit, name)


def test_messages_that_make_no_sense_are_parted_without_a_fault() -> None:
    odd: list[Message] = [{}, {"role": ["x"]}, {"role": "tool", "tool_call_id": {}}, {"role": 5}]
    odd += [{"role": "assistant", "tool_calls": [5, {"id": []}]}, {"role": "user"}]
    assert Turns.of(odd).droppable == 1
    assert Turns.of([]).without(0) == []
    assert Turns.of([said("system")]).droppable == 0
    assert "calls None" not in written([{"role": "assistant", "tool_calls": [5]}])


def test_a_summary_stands_after_what_the_system_was_told() -> None:
    turns = Turns.of([said("system", "s"), said("user"), said("assistant"), said("user", "y")])
    apart = turns.summarised(1, "so", apart=True)
    assert [one["role"] for one in apart] == ["system", "system", "user"]
    assert apart[1]["content"].endswith("so")
    together = turns.summarised(1, "so", apart=False)
    assert [one["role"] for one in together] == ["system", "user"]
    assert together[0]["content"].startswith("s\n\nSummary")
    parts = Turns.of([said("system", [{"type": "text", "text": "s"}]), *turns.messages[1:]])  # type: ignore[arg-type]
    assert parts.summarised(1, "so", apart=False)[0]["content"][1]["type"] == "text"
    bare = Turns.of(turns.messages[1:]).summarised(1, "so", apart=False)
    assert [one["role"] for one in bare] == ["system", "user"]


@given(st.text(max_size=60), st.integers(1, 20), st.data())
def test_text_is_parted_between_characters(text: str, most: int, data: st.DataObject) -> None:
    whole, cuts = text.encode(), [0]
    while cuts[-1] < len(whole):
        cuts.append(min(cuts[-1] + data.draw(st.integers(1, 4)), len(whole)))
    said_of = [whole[a:b] for a, b in pairwise(cuts)]
    pieces = Pieces(list(range(len(said_of))), said_of)
    kept = pieces.last(most)
    assert len(kept) <= most
    assert not kept or said_of[kept[0]][0] & 0xC0 != 0x80
    if not any(one[:1] and one[0] & 0xC0 == 0x80 for one in said_of):
        assert "".join(pieces.parts(most)) == text


def test_who_decides_is_asked_in_order() -> None:
    drop, refuse = Policy.DROP_OLDEST, Policy.REFUSE
    tree = settings.Settings(
        server=settings.Server(context_policy="summarise"),
        models={"own": settings.ModelSettings(context_policy="refuse")},
    )
    assert Policies().choose(None, Wish(), "m") is refuse
    assert Policies().choose(None, Wish(usual=drop), "m") is drop
    assert Policies(tree).choose(None, Wish(usual=drop), "m") is Policy.SUMMARISE
    assert Policies(tree).choose(None, Wish(usual=drop), "own") is refuse
    assert Policies(tree).choose(None, Wish(drop), "own") is drop
    assert Policies(tree).choose(refuse, Wish(drop), "m") is refuse


def test_the_header_is_one_of_three_words() -> None:
    assert by_header({}) is None
    assert by_header({"X-Noibo-Context": " Drop_Oldest "}) is Policy.DROP_OLDEST
    with pytest.raises(InvalidRequest, match="refuse, drop_oldest, summarise"):
        by_header({"X-Noibo-Context": "forget"})


def test_only_what_was_cut_is_said() -> None:
    cut = Cut("drop_oldest", 2048, messages=4, tokens=1234)
    assert cut.header() == "policy=drop_oldest; messages=4; tokens=1234; window=2048"
    told = Cut("summarise", 64, limit=5, summary="\n", summary_tokens=2)
    assert "\n" not in told.header()
    assert told.member()["noibo"]["cut"] == {
        "policy": "summarise",
        "limit": 5,
        "summary_tokens": 2,
        "window": 64,
        "summary": "\n",
    }


def test_each_api_has_its_own_words_for_what_is_too_long() -> None:
    prompt, both = ContextExceeded(70, 64, next_step="Less."), ContextExceeded(50, 64, wanted=20)
    error = msgspec.json.decode(openai.Voice().error(both))["error"]
    assert error["message"].startswith(
        "This model's maximum context length is 64 tokens. However, you requested 70 tokens "
        "(50 in the messages, 20 in the completion)."
    )
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    native = msgspec.json.decode(llama_server.Voice().error(prompt))["error"]
    assert native["type"] == "exceed_context_size_error"
    assert (native["n_prompt_tokens"], native["n_ctx"]) == (70, 64)
    of_prompt = msgspec.json.decode(anthropic.Voice().error(prompt))["error"]
    assert of_prompt["message"] == "prompt is too long: 70 tokens > 64 maximum. Less."
    of_both = msgspec.json.decode(anthropic.Voice().error(both))["error"]["message"]
    assert "input length and `max_tokens` exceed context limit: 50 + 20 > 64" in of_both
