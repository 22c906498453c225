"""Two calls in one answer: each whole, with its own place, streamed and not; and one where only one
is asked for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.gateway.openai_calls import TOOLS, chat, chunks
from tests.running import RunningServer

CALLS = [
    {"name": "get_weather", "arguments": {"city": "Hue"}},
    {"name": "now", "arguments": {"zone": "Asia/Ho_Chi_Minh"}},
]
SCRIPT = {"model": "echo", "max_tokens": None, "extra_body": {"x_echo": {"calls": CALLS}}}
FUNCTIONS: list[Any] = [{"type": "function", **tool["function"]} for tool in TOOLS]  # type: ignore[dict-item]


@pytest.fixture
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    url = real_server.url + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=60) as made:
        yield made


@pytest.mark.parametrize(("parallel", "count"), [(None, 2), (True, 2), (False, 1)])
def test_a_chat_calls_as_many_as_it_may(
    client: openai.OpenAI, parallel: bool | None, count: int
) -> None:
    asked = SCRIPT | {"tools": TOOLS, "parallel_tool_calls": parallel}
    whole = chat(client, **asked).choices[0]
    calls: Any = whole.message.tool_calls
    told = [(one.function.name, json.loads(one.function.arguments)) for one in calls]
    assert told == [(one["name"], one["arguments"]) for one in CALLS[:count]]
    assert whole.finish_reason == "tool_calls"
    names: dict[int, str] = defaultdict(str)
    arguments: dict[int, str] = defaultdict(str)
    ids: dict[int, set[str]] = defaultdict(set)
    for event in chunks(client, **asked):
        for part in event.choices[0].delta.tool_calls or ():
            assert part.function is not None
            names[part.index] += part.function.name or ""
            arguments[part.index] += part.function.arguments or ""
            ids[part.index] |= {part.id} if part.id else set()
    assert [(names[i], json.loads(arguments[i])) for i in sorted(names)] == told
    assert sorted(names) == list(range(count))
    assert all(len(one) == 1 for one in ids.values())
    assert len(set.union(*ids.values())) == count


@pytest.mark.parametrize(("parallel", "count"), [(None, 2), (True, 2), (False, 1)])
def test_a_response_calls_as_many_as_it_may(
    client: openai.OpenAI, parallel: bool | None, count: int
) -> None:
    events: Any = client.responses.create(
        model="echo",
        input="Hi",
        tools=FUNCTIONS,
        parallel_tool_calls=parallel,
        store=False,
        stream=True,
        extra_body={"x_echo": {"text": "", "calls": CALLS}},
    )
    arguments: dict[int, str] = defaultdict(str)
    done: dict[int, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            arguments[event.output_index] += event.delta
        elif event.type == "response.function_call_arguments.done":
            done[event.output_index] = event.arguments
    items = event.response.output
    told = [(one.name, json.loads(one.arguments)) for one in items]
    assert told == [(one["name"], one["arguments"]) for one in CALLS[:count]]
    assert arguments == done == {place: one.arguments for place, one in enumerate(items)}
    assert len({one.call_id for one in items}) == count
    assert event.response.parallel_tool_calls is (parallel is not False)
