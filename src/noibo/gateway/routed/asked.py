"""A body of any API as a chat in OpenAI's shape, for a decision about it. Nobody is asked with it:
what it leaves out, or has not quite as it was, changes who answers and never what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from noibo.wire.body import UNREADABLE, Json

Chat = Json


def as_chat(path: str, fields: Mapping[str, Any]) -> Chat:
    """The chat. Never raises: what cannot be read is not there."""
    body = {name: _plain(value) for name, value in fields.items()}
    for ending, read in _READERS.items():
        if path.endswith(ending):
            return read(body)
    return body


def _plain(value: Any) -> Any:
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except UNREADABLE:
        return None


def _text(body: Json) -> Chat:
    """A completion, OpenAI's or llama-server's."""
    prompt = body.get("prompt")
    if isinstance(prompt, list):
        prompt = "\n".join(one for one in prompt if isinstance(one, str))
    parts = [body.get("input_prefix"), prompt, body.get("input_suffix"), body.get("suffix")]
    text = "\n".join(one for one in parts if isinstance(one, str))
    limit = body.get("max_tokens") or body.get("n_predict")
    messages = [{"role": "user", "content": text}]
    return _limited({"messages": messages, **_kept(body, "response_format")}, limit)


def _anthropic(body: Json) -> Chat:
    form = (body.get("output_config") or {}) if isinstance(body.get("output_config"), dict) else {}
    schema = form.get("format") or body.get("output_format")
    chat = {"messages": [*_system(body.get("system")), *_rows(body.get("messages"))]}
    if isinstance(schema, dict):
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}  # type: ignore[assignment]
    return _limited({**chat, **_kept(body, "tools")}, body.get("max_tokens"))


def _responses(body: Json) -> Chat:
    said = body.get("input")
    if isinstance(said, str):
        turns: list[Any] = [{"role": "user", "content": said}]
    else:
        turns = [_turn(one) for one in _rows(said)]
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    chat: Chat = {"messages": [*_system(body.get("instructions")), *turns]}
    if isinstance(form, dict) and form.get("type") == "json_schema":
        schema = {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}
        chat["response_format"] = schema
    elif isinstance(form, dict):
        chat["response_format"] = form
    tools = [one for one in _rows(body.get("tools")) if one.get("type") == "function"]
    if tools:
        chat["tools"] = [{"type": "function", "function": one} for one in tools]
    return _limited(chat, body.get("max_output_tokens"))


def _turn(item: Json) -> Json:
    if item.get("type", "message") == "message":
        return {**item, "content": _joined(item.get("content"))}
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": item.get("output")}
    return {"role": "assistant", "content": item.get("arguments") or item.get("content") or ""}


def _joined(content: Any) -> Any:
    """Text in parts is the same text: so it stands where a response is kept."""
    parts = _rows(content)
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    whole = isinstance(content, list) and len(texts) == len(content) > 0
    return "".join(texts) if whole else content


def _ollama(body: Json) -> Chat:
    if "messages" in body:
        turns = [_seen(one, one.get("images")) for one in _rows(body.get("messages"))]
    else:
        turns = _system(body.get("system"))
        turns.append(_seen({"role": "user", "content": body.get("prompt")}, body.get("images")))
    options = body.get("options")
    limit = options.get("num_predict") if isinstance(options, dict) else None
    chat: Chat = {"messages": turns, **_kept(body, "tools")}
    if body.get("format") == "json":
        chat["response_format"] = {"type": "json_object"}
    elif isinstance(form := body.get("format"), dict):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": form}}
    return _limited(chat, limit)


def _seen(turn: Json, images: Any) -> Json:
    if not images:
        return turn
    pictures = [{"type": "image_url"} for _ in images] if isinstance(images, list) else []
    return {**turn, "content": [{"type": "text", "text": turn.get("content")}, *pictures]}


def _system(said: Any) -> list[Json]:
    return [{"role": "system", "content": said}] if said else []


def _rows(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _kept(body: Json, *names: str) -> Chat:
    return {name: body[name] for name in names if body.get(name)}


def _limited(chat: Chat, limit: Any) -> Chat:
    return {**chat, "max_tokens": limit} if isinstance(limit, int) and limit > 0 else chat


_READERS: Final[dict[str, Callable[[Json], Chat]]] = {
    "/chat/completions": lambda body: body,
    "/completions": _text,
    "/completion": _text,
    "/infill": _text,
    "/v1/messages": _anthropic,
    "/responses": _responses,
    "/api/chat": _ollama,
    "/api/generate": _ollama,
}
