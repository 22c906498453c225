"""Chats of every kind, as OpenAI's clients send them and as transformers is given them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Chat:
    """What is asked to be rendered. `said` goes to the template as it is."""

    messages: Sequence[Message]
    tools: Sequence[dict[str, Any]] | None = None
    add_generation_prompt: bool = True
    said: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As a client sends it."""
        found = {
            "messages": list(self.messages),
            "add_generation_prompt": self.add_generation_prompt,
        }
        tools = {"tools": list(self.tools)} if self.tools else {}
        return found | tools | ({"chat_template_kwargs": self.said} if self.said else {})

    def for_transformers(self) -> dict[str, Any]:
        """As its documentation wants it: arguments of calls are objects, no content is empty."""
        return {
            "messages": [_plain(message) for message in self.messages],
            "tools": self.tools,
            "add_generation_prompt": self.add_generation_prompt,
            **self.said,
        }


def _plain(message: Message) -> Message:
    found = message | {"content": message["content"] or ""}
    if "tool_calls" in message:
        found["tool_calls"] = [
            call
            | {
                "function": call["function"]
                | {"arguments": json.loads(call["function"]["arguments"])}
            }
            for call in message["tool_calls"]
        ]
    return found


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def assistant(content: str | None, **more: Any) -> Message:
    return {"role": "assistant", "content": content, **more}


def call(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"abcdef12{number}", "type": "function", "function": function}


def result(number: int, name: str, content: str) -> Message:
    return {"role": "tool", "tool_call_id": f"abcdef12{number}", "name": name, "content": content}


def tool(name: str, description: str, required: Sequence[str] = (), **of: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object", "properties": of}
    if required:
        parameters["required"] = list(required)
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


CITY = {"type": "string", "description": "Thành phố"}
DAYS = {"type": "integer"}
UNIT = {"type": "string", "enum": ["c", "f"]}
AT = {"type": "object", "properties": {"lat": {"type": "number"}}}
TAGS = {"type": "array", "items": {"type": "string"}}
WEATHER = tool(
    "weather", "The weather of a city.", ["city"], city=CITY, days=DAYS, unit=UNIT, at=AT, tags=TAGS
)
NOW = tool("now", "The time.")
TOOLS = [WEATHER, NOW]
SHOUTING = [tool("shout", 'It\'s a "loud" & <bold> way.')]
CALLED = [call(1, "weather", city="Hà Nội", days=2)]
SUN = result(1, "weather", '{"degrees": 31}')
NOON = result(2, "now", "12:00")
ASKED = user("Weather?")

CHATS = {
    "plain": Chat([user("Xin chào <b>\"you\" & 'me'</b>!\n  x ")]),
    "system": Chat([system("Be brief."), user("Hi")]),
    "turns": Chat([user("Hi"), assistant("Hello."), user("And now?")]),
    "system, turns": Chat(
        [
            system("Be brief."),
            user("Hi"),
            assistant("Hello."),
            user("And now?"),
            assistant("Well."),
            user("Yes?"),
        ]
    ),
    "no prompt": Chat([user("Hi"), assistant("Hello."), user("Bye")], add_generation_prompt=False),
    "parts": Chat([user([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])]),
    "tools": Chat([ASKED], TOOLS),
    "tools, quotes": Chat([ASKED], SHOUTING),
    "system, tools": Chat([system("Be brief."), ASKED], TOOLS),
    "called": Chat([ASKED, assistant(None, tool_calls=CALLED), SUN], TOOLS),
    "called, went on": Chat(
        [
            system("Be brief."),
            ASKED,
            assistant(None, tool_calls=CALLED),
            SUN,
            assistant("31 degrees."),
            user("Thanks"),
        ],
        TOOLS,
    ),
    "called twice": Chat(
        [ASKED, assistant(None, tool_calls=[*CALLED, call(2, "now")]), SUN, NOON], TOOLS
    ),
    "thought": Chat(
        [user("Hi"), assistant("Hello.", reasoning_content="They greet."), user("And now?")]
    ),
    "thought, called": Chat(
        [ASKED, assistant(None, reasoning_content="A tool!", tool_calls=CALLED), SUN], TOOLS
    ),
    "to think": Chat([user("Hi")], said={"enable_thinking": True}),
    "not to think": Chat([user("Hi")], said={"enable_thinking": False}),
}
# The parts of a text as one text: what an engine makes of them for a template that takes no parts.
JOINED = Chat([user("One.\nTwo.")])
