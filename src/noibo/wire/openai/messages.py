"""The messages of a chat: checked, and said in the roles that today's chat templates know."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire import body
from noibo.wire.body import Fields, Json


class Called(msgspec.Struct):
    """A function, as an assistant called it."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    """One call of a tool, as an assistant made it."""

    type: Literal["function"] = "function"
    function: Called | None = None
    id: str | None = None


class Message(msgspec.Struct):
    """One message, as far as everybody must agree on it. Parts of a content are looked at when it
    is known what the model reads."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Any] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Called | None = None
    refusal: str | None = None
    audio: None = None


Messages = Annotated[list[Message], Meta(min_length=1)]

_OLD: Final = (b'"developer"', b'"function"', b'"function_call"', b'"refusal"', b"null")
_CALLS: Final = (b'"tool_calls"', b'"function_call"')


def is_old(fields: Fields) -> bool:
    """Whether there may be something in the messages to say in other words."""
    raw = bytes(fields.get("messages", b""))
    return any(word in raw for word in (*_OLD, *_CALLS))


def translate(fields: Fields, *, knows_developer: bool) -> None:
    """Say, in place, in other words what chat templates have no words for: roles of OpenAI's own
    models, calls of functions from before there were tools, refusals."""
    if not is_old(fields):
        return
    messages: list[Json] = msgspec.json.decode(fields["messages"])
    call = ""
    for place, message in enumerate(messages):
        _clear(place, message)
        call = f"call_{place}" if message.get("function_call") else call
        _called(message, call)
        _refused(message)
        if message["role"] == "developer" and not knows_developer:
            message["role"] = "system"
    fields["messages"] = body.raw(messages)


def _clear(place: int, message: Json) -> None:
    """Take out what is null: engines take it for something. Raise where nothing is left to say, and
    where the arguments of a call are no JSON, as templates write them out anew."""
    for name in [name for name, value in message.items() if value is None]:
        del message[name]
    calls = [one.get("function") or {} for one in message.get("tool_calls") or []]
    calls += [message["function_call"]] if "function_call" in message else []
    if calls and message["role"] != "assistant":
        _complain(place, f"a message of the role {message['role']} calls nothing")
    for called in calls:
        try:
            msgspec.json.decode(called.get("arguments") or "{}")
        except (msgspec.DecodeError, RecursionError):
            _complain(place, "the arguments of its call are no JSON")
    if "content" not in message:
        if not calls and not message.get("refusal"):
            _complain(place, "it has no content")
        message["content"] = None if calls else ""


def _complain(place: int, why: str) -> NoReturn:
    raise InvalidRequest(f"messages[{place}]: {why}.", param="messages")


def _called(message: Json, call: str) -> None:
    """The old way to call a function, and to say what came of it."""
    if old := message.pop("function_call", None):
        message["tool_calls"] = [{"id": call, "type": "function", "function": old}]
    if message["role"] == "function":
        if not call:
            raise InvalidRequest(
                "messages: a message of the role function answers a function_call before it.",
                param="messages",
            )
        message |= {"role": "tool", "tool_call_id": call}


def _refused(message: Json) -> None:
    """What an assistant refused is what it said."""
    refusal = message.pop("refusal", None)
    if refusal and not message.get("content"):
        message["content"] = refusal
