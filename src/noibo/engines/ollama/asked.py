"""A request in OpenAI's words, made into one of Ollama's. Pure.

What Ollama cannot do is refused with the name of the field: it would pass over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.engines.engine import plain
from noibo.engines.ollama.facts import object_of
from noibo.errors import InvalidRequest
from noibo.wire.body import UNREADABLE, Json

# OpenAI's field, or llama.cpp's, and Ollama's option.
OPTIONS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
    "n_keep": "num_keep",
}
LIMITS: Final = ("n_predict", "max_completion_tokens", "max_tokens")
# What it has no answer to, and the values that ask for nothing.
NOT_THERE: Final[Mapping[str, tuple[Any, ...]]] = {
    "n": (1,),
    "best_of": (1,),
    "logit_bias": ({},),
    "echo": (False,),
    "grammar": ("",),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "modalities": (["text"],),
    "web_search_options": (),
    "x_echo": (),
    "truncate": (False,),
    "shift": (False,),
}
CUTS: Final = frozenset({"truncate", "shift"})
# Without effect on an answer, or done by noibo: not for Ollama.
PASSED_OVER: Final = frozenset(
    {
        "model", "stream", "stream_options", "user", "metadata", "store", "service_tier",
        "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prediction",
        "cache_prompt", "return_progress", "parallel_tool_calls", "tool_choice", "response_format",
        "json_schema", "reasoning_effort", "chat_template_kwargs", "logprobs", "top_logprobs",
        "n_probs", "messages", "tools", "prompt", "suffix", "stop", "verbosity", "options",
    }
)  # fmt: skip


@dataclass(slots=True)
class Asked:
    """One request. `text`: bytes of what is to be read; `tops`: how many log-probabilities beside
    each token's, None for none at all."""

    body: Json
    chat: bool
    streamed: bool = False
    with_usage: bool = False
    one_call: bool = False
    tops: int | None = None
    text: int = 0
    images: int = 0
    limit: int | None = None
    options: Json = field(default_factory=dict)

    def native(self, num_ctx: int) -> bytes:
        """The body that Ollama gets."""
        options = {**self.options, "num_ctx": num_ctx}
        return msgspec.json.encode({**self.body, "options": options})


def read(path: str, fields: Mapping[str, Any], model: str, *, levels: bool) -> Asked:
    """What a chat or a completion asks for. Raises `InvalidRequest`."""
    said = {name: plain(value) for name, value in fields.items()}
    said = {name: value for name, value in said.items() if value is not None}
    for name, harmless in NOT_THERE.items():
        if name in said and said[name] not in harmless:
            why = "a prompt is never cut in silence" if name in CUTS else "Ollama has no such thing"
            raise _refusal(name, why)
    chat = path.endswith("/chat/completions")
    asked = Asked({"model": model}, chat, streamed=bool(said.get("stream")))
    asked.with_usage = bool(object_of(said.get("stream_options")).get("include_usage"))
    asked.body |= {"stream": asked.streamed, "truncate": False, "shift": False}
    _take_options(asked, said)
    _take_chat(asked, said) if chat else _take_prompt(asked, said)
    _take_form(asked, said)
    _take_thinking(asked, said, levels)
    _take_scores(asked, said)
    new = {one: value for one, value in said.items() if one not in _KNOWN}
    asked.body = new | asked.body  # of Ollama's own, or of a newer one: noibo's word goes first
    return asked


_KNOWN: Final = PASSED_OVER | OPTIONS.keys() | NOT_THERE.keys() | frozenset(LIMITS)


def _take_options(asked: Asked, said: Json) -> None:
    asked.options = {**object_of(said.get("options"))}
    asked.options |= {OPTIONS[name]: said[name] for name in OPTIONS if name in said}
    for name in LIMITS:
        if name in said and type(said[name]) is not int:
            raise _refusal(name, "it is no whole number")
    limit = next((said[name] for name in LIMITS if name in said), -1)
    if limit >= 0:
        asked.limit = asked.options["num_predict"] = limit
    if stop := said.get("stop"):
        asked.options["stop"] = [stop] if isinstance(stop, str) else stop


def _take_chat(asked: Asked, said: Json) -> None:
    choice = said.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise _refusal("tool_choice", "Ollama cannot be made to call a tool")
    asked.one_call = said.get("parallel_tool_calls") is False
    if said.get("tools") and choice == "auto":
        asked.body["tools"] = said["tools"]
        asked.text += len(msgspec.json.encode(said["tools"]))
    messages = said.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _refusal("messages", "there is none")
    names: dict[str, str] = {}
    asked.body["messages"] = [
        _message(asked, number, one, names) for number, one in enumerate(messages)
    ]


def _message(asked: Asked, number: int, one: Any, names: dict[str, str]) -> Json:
    place = f"messages[{number}]"
    if not isinstance(one, dict) or not isinstance(one.get("role"), str):
        raise _refusal(place, "it has no role")
    role = "system" if one["role"] == "developer" else one["role"]
    text, images = _content(one.get("content"), f"{place}.content")
    asked.text += len(text.encode())
    asked.images += len(images)
    said: Json = {"role": role, "content": text}
    if images:
        said["images"] = images
    if thought := one.get("reasoning_content") or one.get("reasoning"):
        said["thinking"] = thought
    if calls := one.get("tool_calls"):
        said["tool_calls"] = [
            _call(call, f"{place}.tool_calls[{index}]", index, names)
            for index, call in enumerate(calls)
        ]
        asked.text += len(msgspec.json.encode(said["tool_calls"]))
    if role == "tool":
        key = str(one.get("tool_call_id") or "")
        said |= {"tool_call_id": key} if key else {}
        if name := one.get("name") or names.get(key):
            said["tool_name"] = name
    return said


def _content(content: Any, place: str) -> tuple[str, list[str]]:
    """The text of a message, and its pictures in base64."""
    if content is None or isinstance(content, str):
        return content or "", []
    texts, images = [], []
    for number, part in enumerate(content if isinstance(content, list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in {"text", "refusal"}:
            texts.append(str(part.get("text") or part.get("refusal") or ""))
        elif kind == "image_url":
            images.append(_picture(part.get("image_url"), f"{place}[{number}]"))
        else:
            raise _refusal(f"{place}[{number}]", f"Ollama reads no {kind}")
    return "\n".join(texts), images


def _picture(said: Any, place: str) -> str:
    url = str(said.get("url") if isinstance(said, dict) else said or "")
    head, mark, data = url.partition(";base64,")
    if not url.startswith("data:") or not mark or not head:
        raise _refusal(f"{place}.image_url", "a picture is sent as data:image/png;base64,…")
    return data


def _call(call: Any, place: str, index: int, names: dict[str, str]) -> Json:
    function = object_of(object_of(call).get("function"))
    arguments = function.get("arguments") or "{}"
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except UNREADABLE:
            arguments = None
    if not isinstance(arguments, dict):
        raise _refusal(f"{place}.function.arguments", "they are no JSON object")
    key, name = str(call.get("id") or ""), str(function.get("name") or "")
    names[key] = name
    said = {"index": index, "name": name, "arguments": arguments}
    return ({"id": key} if key else {}) | {"function": said}


def _take_prompt(asked: Asked, said: Json) -> None:
    prompt = said.get("prompt", "")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise _refusal("prompt", "Ollama reads one text, no list and no tokens")
    asked.text = len(prompt.encode())
    asked.body["prompt"] = prompt
    if suffix := said.get("suffix"):
        asked.body["suffix"] = suffix  # by the model's own template for that
        asked.text += len(str(suffix).encode())
    else:
        asked.body["raw"] = True


def _take_form(asked: Asked, said: Json) -> None:
    form = said.get("response_format")
    kind = object_of(form).get("type", "text")
    if kind == "json_object":
        asked.body["format"] = "json"
    elif kind == "json_schema":
        asked.body["format"] = object_of(object_of(form).get("json_schema")).get("schema") or "json"
    elif kind != "text":
        raise _refusal("response_format", f"Ollama knows no {kind}")
    if "json_schema" in said:
        asked.body["format"] = said["json_schema"]


def _take_thinking(asked: Asked, said: Json, levels: bool) -> None:
    kwargs = object_of(said.get("chat_template_kwargs"))
    if isinstance(wanted := kwargs.get("enable_thinking"), bool):
        asked.body["think"] = wanted
    effort = said.get("reasoning_effort") or kwargs.get("reasoning_effort")
    if effort in {"none", "minimal"}:
        asked.body["think"] = "low" if levels else False
    elif effort:
        asked.body["think"] = (
            {"xhigh": "high", "max": "high"}.get(effort, effort) if levels else True
        )


def _take_scores(asked: Asked, said: Json) -> None:
    wanted = said.get("logprobs")
    if not asked.chat and isinstance(wanted, int) and not isinstance(wanted, bool):
        asked.tops = wanted
    elif wanted is True:
        asked.tops = int(said.get("top_logprobs") or 0)
    elif "n_probs" in said:
        asked.tops = int(said["n_probs"])
    if asked.tops is not None:
        asked.body |= {"logprobs": True} | ({"top_logprobs": asked.tops} if asked.tops else {})


def inputs(fields: Mapping[str, Any], model: str) -> Json:
    """A request for vectors. Raises `InvalidRequest`."""
    said = {name: plain(value) for name, value in fields.items()}
    given = said.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts) or not texts:
        raise _refusal("input", "Ollama reads a text or a list of texts, no tokens")
    more = {"dimensions": said["dimensions"]} if said.get("dimensions") else {}
    return {"model": model, "input": texts, "truncate": False} | more


def _refusal(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: {why}.",
        param=name,
        next_step="The model is Ollama's: leave it out, or ask a model that runs in noibo.",
    )
