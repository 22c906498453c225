"""What a request has the model read: a chat by its template, a text, or token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.hosted.python_model import Json, Unreadable, Vocabulary
from noibo.engines.hosted.wanted import Refused, Wanted

THINK: Final = "<think>"


@dataclass(frozen=True, slots=True)
class Asked:
    """The tokens to go on from. `thinking`: they end where the model begins to think."""

    tokens: Sequence[int]
    thinking: bool = False


def prompt_of(wanted: Wanted, vocabulary: Vocabulary) -> Asked:
    """What is to be read. Raises `Refused`. Takes time: not for the event loop."""
    if wanted.messages is None:
        if wanted.prompt is None:
            raise Refused("prompt is missing.", "prompt")
        return Asked(_tokens(wanted.prompt, vocabulary, "prompt"))
    text = chat_text(wanted, vocabulary)
    thinking = text.rstrip().endswith(THINK)
    if thinking and wanted.grammar:
        raise Refused("response_format: this model thinks before it answers.", "response_format")
    return Asked(vocabulary.tokenise(text, special=False), thinking)


def chat_text(wanted: Wanted, vocabulary: Vocabulary) -> str:
    """A chat by the model's template. Raises `Refused`."""
    options: Json = dict(wanted.chat_template_kwargs or {})
    if wanted.reasoning_effort is not None:
        options["reasoning_effort"] = wanted.reasoning_effort
    if wanted.grammar:
        options.setdefault("enable_thinking", False)
    if wanted.add_generation_prompt is not None:
        options["add_generation_prompt"] = wanted.add_generation_prompt
    messages = [_plain(message) for message in wanted.messages or []]
    try:
        return vocabulary.chat(messages, wanted.tools or [], options)
    except Unreadable as exc:
        raise Refused(f"messages: {exc}", "messages") from exc


def _plain(message: Json) -> Json:
    """A message with its content as one text: few templates know parts."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    if not all(isinstance(text, str) for text in texts):
        raise Refused("messages: the engine reads no other parts than texts.", "messages")
    return {**message, "content": "".join(map(str, texts))}


def tokens_in(asked: Json, vocabulary: Vocabulary) -> list[int]:
    """The tokens of a body of `/tokenize`. Raises `Refused`."""
    special, marks = asked.get("add_special", False), asked.get("parse_special", True)
    return _tokens(asked.get("content", ""), vocabulary, "content", bool(special), bool(marks))


def _tokens(
    said: Any, vocabulary: Vocabulary, param: str, special: bool = True, marks: bool = True
) -> list[int]:
    """Of a text, of ids, or of both mixed: only a text that comes first has a beginning."""
    if isinstance(said, str):
        return vocabulary.tokenise(said, special=special, marks=marks)
    found: list[int] = []
    for place, one in enumerate(said if isinstance(said, list) else [said]):
        if isinstance(one, str):
            found += vocabulary.tokenise(one, special=special and not place, marks=marks)
        elif type(one) is int and 0 <= one < vocabulary.size:
            found.append(one)
        else:
            raise Refused(f"{param}: a text, or token ids from 0 to {vocabulary.size - 1}.", param)
    return found
