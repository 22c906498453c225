"""Items of responses as the messages of a chat, in which every engine can be asked.

What the model gave in one turn (its reasoning, its text, its calls) is one message of the
assistant, as chat templates have it. Instructions and what else the system says at the beginning
is one message: many templates take no second. Pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from noibo.errors import InvalidRequest
from noibo.wire.body import Json
from noibo.wire.responses.budget import Budget, weight
from noibo.wire.responses.reasoning import unsealed

_SYSTEM: Final = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class FileContent:
    """An uploaded file that an item speaks of."""

    name: str
    data: bytes


def as_messages(
    items: Iterable[Json],
    instructions: str | None,
    files: Mapping[str, FileContent],
    budget: Budget,
) -> list[Json]:
    """The messages. Raises `InvalidRequest` for what no chat can say, and where they are more than
    `budget` allows."""
    made = _Messages(files, budget)
    for item in items:
        made.add(item)
    return _with_head(made.messages, instructions)


def _with_head(messages: list[Json], instructions: str | None) -> list[Json]:
    """One system message at the beginning, for all that stands there."""
    texts = [instructions] if instructions else []
    merged = 0
    for message in messages:
        if message["role"] != "system":
            break
        texts.append(message["content"])
        merged += 1
    head = [{"role": "system", "content": "\n\n".join(texts)}] if texts else []
    return head + messages[merged:]


class _Messages:
    """Puts items together."""

    def __init__(self, files: Mapping[str, FileContent], budget: Budget) -> None:
        self.messages: list[Json] = []
        self._files = files
        self._budget = budget
        self._turn: Json | None = None  # the assistant's message that still grows
        self._called: set[str] = set()

    def add(self, item: Json) -> None:
        self._budget.take_item()
        kind = item["type"]
        if kind == "reasoning":
            self._add_thought(item)
        elif kind == "function_call":
            self._add_call(item)
        elif kind == "function_call_output":
            self._add_output(item)
        elif item["role"] == "assistant":
            self._add_answer(item)
        elif item["role"] in _SYSTEM:
            self._close({"role": "system", "content": self._instructions(item["content"])})
        else:
            self._close({"role": "user", "content": self._content(item["content"])})

    def _assistant(self) -> Json:
        if self._turn is None:
            self._turn = {"role": "assistant", "content": ""}
            self.messages.append(self._turn)
        return self._turn

    def _close(self, message: Json) -> None:
        self._turn = None
        self.messages.append(message)

    def _end_turn(self) -> None:
        """The next is of another turn, if in this one anything was said or called."""
        if self._turn is not None and (self._turn["content"] or "tool_calls" in self._turn):
            self._turn = None

    def _add_thought(self, item: Json) -> None:
        """What is thought belongs to what is said or called after it."""
        self._end_turn()
        turn = self._assistant()
        thoughts = [turn["reasoning_content"]] if "reasoning_content" in turn else []
        turn["reasoning_content"] = "\n\n".join([*thoughts, self._thought(item)])

    def _thought(self, item: Json) -> str:
        """What a reasoning item says, wherever it says it."""
        if sealed := item.get("encrypted_content"):
            return unsealed(sealed, self._budget)
        parts = item.get("content") or item.get("summary") or []
        return self._counted("".join(part["text"] for part in parts))

    def _add_answer(self, item: Json) -> None:
        self._end_turn()
        said = [part.get("text") or part.get("refusal") or "" for part in item["content"]]
        self._assistant()["content"] = self._counted("".join(said))

    def _add_call(self, item: Json) -> None:
        self._called.add(item["call_id"])
        self._budget.take(weight(item))
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        self._assistant().setdefault("tool_calls", []).append(call)

    def _add_output(self, item: Json) -> None:
        if item["call_id"] not in self._called:
            raise InvalidRequest(
                f"No function call with the call_id {item['call_id'][:80]!r} stands before its"
                " output.",
                param="input",
                next_step="Send the call's item too, or previous_response_id.",
            )
        content = self._content(item["output"])
        self._close({"role": "tool", "tool_call_id": item["call_id"], "content": content})

    def _instructions(self, content: list[Json]) -> str:
        """One text: a system message in parts is more than most chat templates know."""
        return "\n".join(self._part(part)["text"] for part in content)

    def _content(self, content: str | list[Json]) -> str | list[Json]:
        if isinstance(content, str):
            return self._counted(content)
        parts = [self._part(part) for part in content]
        if len(parts) == 1 and parts[0]["type"] == "text":
            return str(parts[0]["text"])
        return parts

    def _part(self, part: Json) -> Json:
        if part["type"] == "input_image":
            return {"type": "image_url", "image_url": self._image(part)}
        if part["type"] == "input_file":
            return {"type": "text", "text": self._counted(self._file_text(part))}
        return {"type": "text", "text": self._counted(part["text"])}

    def _counted(self, text: str) -> str:
        self._budget.take(len(text))
        return text

    def _image(self, part: Json) -> Json:
        detail = {"auto": "auto", "original": "high"}.get(part["detail"], part["detail"])
        url = part.get("image_url")
        if url is None:
            data = self._files[part["file_id"]].data
            self._budget.take(len(data) * 4 // 3)
            url = f"data:image/png;base64,{base64.b64encode(data).decode()}"  # its bytes say which
        else:
            self._budget.take(len(url))
        return {"url": url, "detail": detail}

    def _file_text(self, part: Json) -> str:
        if "file_id" in part:
            found = self._files[part["file_id"]]
        else:
            found = FileContent(part.get("filename", "file"), _decoded(part["file_data"]))
        try:
            text = found.data.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(
                f"input_file: {found.name[:100]!r} is no text in UTF-8, and nothing here reads it.",
                param="input",
                next_step="Send its text.",
            ) from None
        return f"File {found.name}:\n{text}"


def _decoded(data: str) -> bytes:
    """The bytes of a `data:` URL, or of plain base64."""
    head, comma, rest = data.partition(",")
    text = rest if comma and head.startswith("data:") else data
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("input_file: file_data is no base64.", param="input") from None
