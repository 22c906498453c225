"""How a model wants to be asked: what came with it is put into a request where that says nothing.

Pure: fields in, fields out. What a model brought along has Ollama's names (`num_predict`,
`repeat_penalty` …); requests have OpenAI's and llama.cpp's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from noibo.engines.engine import Fields
from noibo.modelstore.offer import Defaults

# Ollama's parameter, and the request field that means the same. num_ctx is the worker's.
FIELDS: Final = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_last_n": "repeat_last_n",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
    "seed": "seed",
    "num_predict": "max_tokens",
}
_SAME_LIMIT: Final = ("max_tokens", "max_completion_tokens", "n_predict")


def apply(defaults: Defaults, fields: Fields, *, chat: bool) -> None:
    """Fill `fields`, in place, with what the request leaves open. Stop strings add up."""
    for name, value in defaults.parameters.items():
        field = FIELDS.get(name)
        given = _SAME_LIMIT if field == "max_tokens" else (field,)
        if field is not None and not any(one in fields for one in given):
            fields[field] = msgspec.Raw(msgspec.json.encode(value))
    if chat:
        _add_stop(defaults, fields)
        _add_messages(defaults, fields)


def _add_stop(defaults: Defaults, fields: Fields) -> None:
    own = defaults.parameters.get("stop") or []
    if not own:
        return
    asked = _read(fields, "stop")
    asked = [asked] if isinstance(asked, str) else asked or []
    if isinstance(asked, list):
        fields["stop"] = msgspec.Raw(msgspec.json.encode([*dict.fromkeys([*asked, *own])]))


def _add_messages(defaults: Defaults, fields: Fields) -> None:
    if not (defaults.system or defaults.messages):
        return
    messages = _read(fields, "messages")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        return  # the engine says what is wrong with it
    head: list[Any] = []
    if messages and messages[0].get("role") in {"system", "developer"}:
        head, messages = messages[:1], messages[1:]
    elif defaults.system:
        head = [{"role": "system", "content": defaults.system}]
    fields["messages"] = msgspec.Raw(msgspec.json.encode([*head, *defaults.messages, *messages]))


def _read(fields: Fields, name: str) -> Any:
    try:
        return msgspec.json.decode(fields[name]) if name in fields else None
    except (msgspec.DecodeError, RecursionError):
        return None
