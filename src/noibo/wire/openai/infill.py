"""`suffix`: what llama.cpp writes into a gap, in its own shape, told as a text completion."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from noibo.errors import EngineRefused, InvalidRequest
from noibo.wire import body
from noibo.wire.body import Fields, Json

PATH = "/infill"


def ask(fields: Fields, prompt: Any) -> Fields:
    """The fields of llama.cpp's own route for a text before the gap; `suffix` is what is after."""
    if not isinstance(prompt, str):
        raise InvalidRequest("suffix: only with prompts that are texts.", param="suffix")
    rest = {name: fields[name] for name in fields if name not in ("suffix", "prompt")}
    gap = {"input_prefix": prompt, "input_suffix": body.field(fields, "suffix", str)}
    if "max_tokens" in rest:
        rest["n_predict"] = rest.pop("max_tokens")
    if "logprobs" in rest:
        rest["n_probs"] = rest.pop("logprobs")
    return rest | {name: body.raw(value) for name, value in (gap | {"prompt": ""}).items()}


def refusal(error: EngineRefused, model: str) -> Exception:
    """A model that was not trained for it, said with the name of OpenAI's field."""
    if error.status != 501:
        return error
    return InvalidRequest(
        f"suffix: {model} was not trained to fill a gap: it has no tokens for one.",
        param="suffix",
        next_step="Leave it out, or ask a code model.",
    )


@dataclass(slots=True)
class Infill:
    """Tells llama.cpp's events as chunks of a text completion."""

    model: str
    _id: str = field(default_factory=lambda: "cmpl-" + secrets.token_urlsafe(24))
    _made: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, event: Json) -> Json:
        """One event as a chunk."""
        rows = event.get("completion_probabilities")
        choice = {
            "index": event.get("index", 0),
            "text": event.get("content", ""),
            "logprobs": {"content": rows} if rows else None,
            "finish_reason": None,
        }
        told = {
            "id": self._id,
            "object": "text_completion",
            "created": self._made,
            "model": self.model,
            "choices": [choice],
        }
        if event.get("stop"):
            choice["finish_reason"] = "length" if event.get("stop_type") == "limit" else "stop"
            told["usage"] = _usage(event)
        return told


def _usage(event: Json) -> Json:
    read, written = event.get("tokens_evaluated", 0), event.get("tokens_predicted", 0)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
