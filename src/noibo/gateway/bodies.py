"""The bodies of the routes that read them themselves: fields, and what each may be.

By the types that they are checked with, where there are such. What is in no table here goes to the
engine as it came, or is refused by its name: each API says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from noibo.gateway.anthropic import parameters
from noibo.gateway.ollama.asked import LEVELS, MOST_TOPS
from noibo.wire import batches, completion, embeddings, files, metadata
from noibo.wire.ollama.messages import Message
from noibo.wire.openai import fields as openai_fields
from noibo.wire.responses import limits

Types = Mapping[str, Any]
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Body:
    """What a route is sent. `api`: whose shapes the types have, as two have the same names."""

    api: str
    types: Types
    required: tuple[str, ...] = ()
    media: str = JSON


KeepAlive = float | str
_Natural = Annotated[int, Meta(ge=0)]
_ANY: Final = {"model": str, "keep_alive": KeepAlive}

# ── OpenAI's ────────────────────────────────────────────────────────────────

_CHAT: Final = {name: known.kind for name, known in openai_fields.CHAT.items()}
_TEXT: Final = {name: known.kind for name, known in openai_fields.TEXT.items()}
_VECTORS: Final = _ANY | {
    "input": embeddings.Inputs,
    "encoding_format": Literal["float", "base64"],
    "dimensions": Annotated[int, Meta(ge=1)],
    "user": metadata.KEPT["user"],
}
_BATCH: Final = {
    "input_file_id": str,
    "endpoint": Literal[batches.ENDPOINTS],
    "completion_window": Literal[batches.WINDOW],
    "metadata": metadata.Metadata,
    "output_expires_after": batches.OutputExpires,
}
_FILE: Final = {
    "file": Annotated[str, Meta(extra_json_schema={"format": "binary"})],
    "purpose": Literal[files.PURPOSES],
    "expires_after[anchor]": Literal["created_at"],
    "expires_after[seconds]": Annotated[int, Meta(ge=files.LEAST_S, le=files.MOST_S)],
}
_OPENAIS: Final = {
    "/v1/chat/completions": Body("openai", _CHAT | _ANY, ("messages",)),
    "/v1/completions": Body("openai", _TEXT | _ANY, ("prompt",)),
    "/v1/embeddings": Body("openai", _VECTORS, ("input",)),
    "/v1/responses": Body("responses", {**limits.TYPES, **_ANY}),
    "/v1/responses/input_tokens": Body("responses", {**limits.TYPES, **_ANY}),
    "/v1/batches": Body("openai", _BATCH, ("input_file_id", "endpoint", "completion_window")),
    "/v1/files": Body("openai", _FILE, ("file", "purpose"), "multipart/form-data"),
}

# ── Anthropic's ─────────────────────────────────────────────────────────────

_ANTHROPICS: Final = {
    "/v1/messages": Body("anthropic", parameters.TYPES, parameters.REQUIRED),
    "/v1/messages/count_tokens": Body("anthropic", parameters.TYPES, parameters.REQUIRED[:2]),
}

# ── Ollama's ────────────────────────────────────────────────────────────────

_ASKED: Final = _ANY | {
    "stream": bool,
    "options": dict[str, Any],
    "format": Literal["", "json"] | dict[str, Any],
    "think": bool | Literal[LEVELS],
    "logprobs": bool,
    "top_logprobs": Annotated[int, Meta(ge=0, le=MOST_TOPS)],
    "truncate": bool,
    "shift": bool,
}
_PROMPT: Final = {
    "prompt": str,
    "suffix": str,
    "system": str,
    "images": list[str],
    "context": list[int],
    "raw": bool,
}
_EMBED: Final = _ANY | {"options": dict[str, Any], "truncate": bool, "dimensions": _Natural}
_CREATE: Final = {
    "model": str,
    "stream": bool,
    "from": str,
    "files": dict[str, str],
    "adapters": dict[str, str],
    "template": str,
    "system": str,
    "parameters": dict[str, Any],
    "messages": list[Message],
    "license": str | list[str],
    "modelfile": str,
}
_NAMED: Final = ("model",)
_OLLAMAS: Final = {
    "/api/chat": Body(
        "ollama",
        _ASKED | {"messages": list[Message], "tools": list[dict[str, Any]]},
        _NAMED,
    ),
    "/api/generate": Body("ollama", _ASKED | _PROMPT, _NAMED),
    "/api/embed": Body("ollama", _EMBED | {"input": str | list[str]}, _NAMED),
    "/api/embeddings": Body("ollama", _EMBED | {"prompt": str}, _NAMED),
    "/api/create": Body("ollama", _CREATE, _NAMED),
    "/api/show": Body("ollama", {"model": str, "verbose": bool, "system": str}, _NAMED),
    "/api/copy": Body("ollama", {"source": str, "destination": str}, ("source", "destination")),
    "/api/delete": Body("ollama", {"model": str}, _NAMED),
    "/api/pull": Body("ollama", {"model": str, "stream": bool}, _NAMED),
    "/api/push": Body("ollama", {"model": str}, _NAMED),
    "/api/blobs/{digest}": Body("ollama", {}, media="application/octet-stream"),
}

# ── llama-server's ──────────────────────────────────────────────────────────

_NATIVE: Final = (
    _ANY
    | completion.KINDS
    | {
        "prompt": str | list[Any],
        "stream": bool,
        "return_tokens": bool,
        "response_fields": list[str],
    }
)
_GAP: Final = {
    "input_prefix": str,
    "input_suffix": str,
    "input_extra": list[dict[str, Any]],
    "prompt": str,
    "n_predict": int,
}
_RANKED: Final = _ANY | {
    "query": str,
    "documents": list[str | dict[str, Any]],
    "texts": list[str | dict[str, Any]],
    "top_n": Annotated[int, Meta(ge=1)],
    "return_documents": bool,
    "return_text": bool,
    "user": str,
}
_SAID: Final = _ANY | {
    "content": str | list[int | str],
    "add_special": bool,
    "parse_special": bool,
    "with_pieces": bool,
}
_TALK: Final = _ANY | {"messages": list[dict[str, Any]]}
_RANK: Final = Body("llama", _RANKED, ("query",))
_COUNT: Final = Body("llama", _TALK, ("messages",))
_LLAMAS: Final = {
    "/completion": Body("llama", _NATIVE, ("prompt",)),
    "/completions": Body("llama", _NATIVE, ("prompt",)),
    "/infill": Body("llama", _NATIVE | _GAP, ("input_prefix", "input_suffix")),
    "/chat/completions": _OPENAIS["/v1/chat/completions"],
    "/responses": _OPENAIS["/v1/responses"],
    "/responses/input_tokens": _OPENAIS["/v1/responses/input_tokens"],
    "/embedding": Body("llama", _VECTORS | {"content": embeddings.Inputs}),
    "/embeddings": Body("llama", _VECTORS | {"content": embeddings.Inputs}),
    "/rerank": _RANK,
    "/reranking": _RANK,
    "/v1/rerank": _RANK,
    "/v1/reranking": _RANK,
    "/tokenize": Body("llama", _SAID),
    "/detokenize": Body("llama", _ANY | {"tokens": list[_Natural]}),
    "/apply-template": _COUNT,
    "/chat/completions/input_tokens": _COUNT,
    "/v1/chat/completions/input_tokens": _COUNT,
}

BODIES: Final[Mapping[str, Body]] = {**_OPENAIS, **_ANTHROPICS, **_OLLAMAS, **_LLAMAS}
