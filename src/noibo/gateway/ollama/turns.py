"""What a request of Ollama's wants answered, made into a request for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.engines.tool_template import tells_tools
from noibo.errors import InvalidRequest
from noibo.gateway.ollama.asked import Asked, Think
from noibo.model_settings import ELSEWHERE
from noibo.wire.body import Fields, Json, raw
from noibo.wire.body import field as read
from noibo.wire.ollama import messages as ollama_messages
from noibo.wire.ollama import options
from noibo.wire.ollama.messages import Message

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"
_WINDOW = "repeat_last_n"


@dataclass(frozen=True, slots=True)
class Chat:
    """The messages of `/api/chat`, and the tools they may use."""

    messages: Sequence[Message]
    tools: Sequence[Json] = ()

    @classmethod
    def parse(cls, fields: Fields) -> Chat:
        return cls(ollama_messages.messages(fields), ollama_messages.tools(fields))

    @property
    def empty(self) -> bool:
        return not self.messages

    @property
    def sees(self) -> bool:
        return ollama_messages.has_images(self.messages)

    def fields(self, asked: Asked, model: Model) -> Fields:
        """The body for the engine's chat."""
        found: Json = {"messages": ollama_messages.for_engine(self.messages)}
        if self.tools:
            found["tools"] = self.tools
        return chat_fields(found, asked, model)


@dataclass(frozen=True, slots=True)
class Completion:
    """The prompt of `/api/generate`. `context` are the tokens of the conversation before it."""

    prompt: str
    suffix: str = ""
    system: str = ""
    images: Sequence[str] = ()
    context: Sequence[int] = ()
    raw: bool = False

    @classmethod
    def parse(cls, fields: Fields) -> Completion:
        found = cls(
            prompt=read(fields, "prompt", str, ""),
            suffix=read(fields, "suffix", str, ""),
            system=read(fields, "system", str, ""),
            images=read(fields, "images", list[str], []),
            context=read(fields, "context", list[int], []),
            raw=read(fields, "raw", bool, False),
        )
        found._require_sense(read(fields, "template", str, ""))
        return found

    def _require_sense(self, template: str) -> None:
        if template:
            raise InvalidRequest(
                "template: a model's template cannot be changed for one request.",
                param="template",
                next_step="Make a model that has it (POST /api/create with from and template), or "
                "send the whole prompt with raw: true.",
            )
        if self.raw and (self.system or self.context):
            name = "system" if self.system else "context"
            raise InvalidRequest(
                "raw mode does not support template, system, or context.", param=name
            )
        plain = self.raw or self.context or self.suffix
        if self.images and plain:
            raise InvalidRequest(
                "images: not together with raw, context or suffix.", param="images"
            )
        if self.suffix and (self.system or self.context):
            raise InvalidRequest("suffix: not together with system or context.", param="suffix")

    def require_place_for(self, think: Think | None) -> None:
        """Raise `InvalidRequest` for a thought that a prompt without its template cannot have."""
        if think and self.suffix:
            raise InvalidRequest(
                "think: not together with suffix: a gap is filled without a thought.", param="think"
            )
        if isinstance(think, str) and self.raw:
            raise InvalidRequest(
                "think: a level is told by the model's template, which raw leaves out.",
                param="think",
                next_step="Send true to have the thought told apart, or leave it out.",
            )

    @property
    def empty(self) -> bool:
        return not self.prompt

    @property
    def sees(self) -> bool:
        return bool(self.images)

    @property
    def message(self) -> Chat:
        """The prompt as a chat."""
        said = [Message("user", self.prompt, images=list(self.images) or None)]
        if self.system:
            said.insert(0, Message("system", self.system))
        return Chat(said)

    def fields(self, asked: Asked, model: Model) -> Fields:
        """The body for the engine's chat."""
        return self.message.fields(asked, model)


def chat_fields(found: Json, asked: Asked, model: Model) -> Fields:
    """A chat with all that was asked for besides."""
    if (kwargs := _thinking(asked, model)) is not None:
        found["chat_template_kwargs"] = kwargs
    if asked.schema is not None:
        found["response_format"] = {"type": "json_schema", "json_schema": {"schema": asked.schema}}
    if asked.tops is not None:
        found |= {"logprobs": True, "top_logprobs": max(asked.tops, 1)}
    return _with_options(found, asked, model)


def prompt_fields(prompt: str | Sequence[int], asked: Asked, model: Model) -> Fields:
    """A prompt that goes to the engine as it is: a text, or tokens."""
    found: Json = {"prompt": prompt}
    if asked.schema is not None:
        found["json_schema"] = asked.schema
    if asked.tops is not None:
        found["logprobs"] = max(asked.tops, 1)
    return _with_options(found, asked, model)


def _with_options(found: Json, asked: Asked, model: Model) -> Fields:
    told: dict[str, Any] = options.fields(asked.options, model.defaults.parameters)
    if not any(_WINDOW in one for one in (asked.options, model.defaults.parameters)):
        told.pop(_WINDOW, None)  # as every engine that has one has it, and vLLM has none
    said = {"model": model.called} | told | found
    return {name: raw(value) for name, value in said.items()} | asked.own


def _thinking(asked: Asked, model: Model) -> Json | None:
    """What the template is told of thinking; None for a model that has no thoughts. Of one that is
    elsewhere nothing is known, but what is asked."""
    if not Thinking.of(model).thinks and (asked.think is None or model.format not in ELSEWHERE):
        return None
    level = asked.think if isinstance(asked.think, str) else None
    return {"enable_thinking": asked.think is not False} | (
        {"reasoning_effort": level} if level else {}
    )


def require_able(turn: Chat | Completion, asked: Asked, model: Model) -> None:
    """Raise `InvalidRequest` for what the model cannot do."""
    if isinstance(turn, Completion):
        turn.require_place_for(asked.think)
    thinking = Thinking.of(model)
    if isinstance(turn, Chat) and turn.tools and not tells_tools(model.chat_template):
        raise InvalidRequest(f'"{asked.model}" does not support tools.', param="tools")
    if turn.sees and model.projector is None:
        raise InvalidRequest(
            f"images: {asked.model} sees no images: it has no projector.",
            param="images",
            next_step="Ask a model that came with one, or send text only.",
        )
    if asked.think and not thinking.thinks:
        raise InvalidRequest(f'"{asked.model}" does not support thinking.', param="think")
    if isinstance(asked.think, str) and not thinking.takes_effort:
        raise InvalidRequest(
            f'think: "{asked.model}" has no levels of thinking.',
            param="think",
            next_step="Send true or false.",
        )
    if asked.think is False and thinking.thinks and not thinking.has_switch:
        raise InvalidRequest(
            f'think: "{asked.model}" cannot answer without thinking.',
            param="think",
            next_step='Send "low", if it has levels, or leave it out.',
        )
