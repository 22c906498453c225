"""How a model of Ollama's wants to be asked: its small layers, read into `Defaults`.

The same for a registry and for the folder of an Ollama on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from noibo.errors import FetchError
from noibo.modelstore.offer import Defaults
from noibo.modelstore.ollama import ollama_manifest as manifest
from noibo.modelstore.ollama.go_template import UntranslatableTemplate, to_jinja
from noibo.modelstore.printable import shown

SMALL: Final = (
    manifest.TEMPLATE,
    manifest.OLD_TEMPLATE,
    manifest.SYSTEM,
    manifest.PARAMETERS,
    manifest.LICENCE,
    manifest.MESSAGES,
)
MAX_BYTES: Final = 2**20  # of one of them
MAX_COUNT: Final = 32

_NO_TEMPLATE: Final = "{{ .Prompt }}"  # what Ollama writes for a model that has no template
_MAX_STOPS: Final = 64
_MAX_MESSAGES: Final = 1000
_WHOLE: Final = frozenset(
    {
        "num_ctx",
        "num_predict",
        "num_keep",
        "num_batch",
        "num_gpu",
        "num_thread",
        "main_gpu",
        "top_k",
        "seed",
        "repeat_last_n",
        "mirostat",
        "draft_num_predict",
    }
)
_REAL: Final = frozenset(
    {
        "temperature",
        "top_p",
        "min_p",
        "typical_p",
        "tfs_z",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "mirostat_tau",
        "mirostat_eta",
    }
)
_SWITCH: Final = frozenset(
    {
        "penalize_newline",
        "numa",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mmap",
        "use_mlock",
    }
)


@dataclass(frozen=True, slots=True)
class Said:
    """What the small layers say. `notes` are for people: what could not be taken over, and why."""

    defaults: Defaults
    licence: str | None  # the title
    licence_text: str | None
    notes: tuple[str, ...]


def read(config: bytes, layers: Iterable[tuple[str, bytes]]) -> Said:
    """`layers` are media types with contents, in the manifest's order; the last of a type counts.

    Raises `FetchError` for one that is not what its type says, and for a model that `config` says
    runs elsewhere."""
    texts: dict[str, list[str]] = {}
    for media_type, data in layers:
        texts.setdefault(media_type, []).append(_text(data, media_type))
    notes: list[str] = []
    renderer = renderer_of(config)
    source = _last(texts, manifest.TEMPLATE) or _last(texts, manifest.OLD_TEMPLATE)
    licence_text = "\n\n".join(texts.get(manifest.LICENCE, ())).strip() or None
    defaults = Defaults(
        template=_template(source, renderer, notes.append),
        source_template=source,
        system=_last(texts, manifest.SYSTEM),
        parameters=_parameters(_last(texts, manifest.PARAMETERS), notes.append),
        messages=_messages(_last(texts, manifest.MESSAGES)),
    )
    return Said(defaults, _title(licence_text), licence_text, tuple(notes))


def _last(texts: dict[str, list[str]], media_type: str) -> str | None:
    return texts[media_type][-1] if texts.get(media_type) else None


def _text(data: bytes, media_type: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        if media_type == manifest.LICENCE:
            return data.decode(errors="replace")
        raise _bad(media_type, "no text") from None


def _template(source: str | None, renderer: str, note: Callable[[str], None]) -> str | None:
    """In Jinja. None where the model's file knows better, or where it cannot be said in Jinja."""
    if not source or source.strip() == _NO_TEMPLATE:
        return None
    if renderer:
        note(f"Ollama has a renderer of its own for it ({renderer}); the file's template is used.")
        return None
    try:
        return to_jinja(source)
    except UntranslatableTemplate as exc:
        note(f"Its template could not be translated ({shown(str(exc), 120)}); it is kept.")
        return None


def renderer_of(config: bytes) -> str:
    """What the configuration says beyond the files: Ollama's renderer for it, where it has one.

    Raises `FetchError` where it says that the model is elsewhere."""
    try:
        found = json.loads(config.decode())
    except (ValueError, RecursionError):
        raise FetchError("The model's configuration is no JSON.") from None
    if not isinstance(found, dict):
        raise FetchError("The model's configuration is no JSON object.")
    if found.get("remote_host") or found.get("remote_model"):
        raise FetchError(
            "This model runs on the registry's computers only; there is nothing to fetch.",
            next_step="Take another tag: those with `cloud` in the name are never sent.",
        )
    renderer = found.get("renderer")
    return shown(renderer, 60) if isinstance(renderer, str) else ""


def _parameters(text: str | None, note: Callable[[str], None]) -> dict[str, Any]:
    if text is None:
        return {}
    found = _json(text, manifest.PARAMETERS)
    if not isinstance(found, dict):
        raise _bad(manifest.PARAMETERS, "no JSON object")
    good = {name: _parameter(name, value) for name, value in found.items() if len(name) <= 80}
    wrong = sorted(name for name in found if good.get(name) is None)
    if wrong:
        note(f"Parameters left out, of a wrong type: {shown(', '.join(wrong), 120)}.")
    return {name: value for name, value in good.items() if value is not None}


def _parameter(name: str, value: Any) -> Any:
    """The value in its right type; None for one that makes no sense. Unknown names are kept, with
    what a parameter can be: a text, a number, a switch, or some of them."""
    real = _is_number(value)
    if name == "stop":
        stops = [value] if isinstance(value, str) else value
        good = isinstance(stops, list) and all(isinstance(stop, str) and stop for stop in stops)
        return stops[:_MAX_STOPS] if good and stops else None
    if name in _WHOLE:
        return int(value) if real and value == int(value) else None
    if name in _REAL:
        return float(value) if real else None
    if name in _SWITCH:
        return value if isinstance(value, bool) else None
    many = value if isinstance(value, list) else [value]
    good = all(isinstance(one, str | bool) or _is_number(one) for one in many)
    return value if good and len(many) <= _MAX_STOPS else None


def _is_number(value: Any) -> bool:
    """True for what JSON's readers everywhere take for the same number."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and -(2**53) < value < 2**53  # neither NaN nor infinite


def _messages(text: str | None) -> tuple[dict[str, str], ...]:
    if text is None:
        return ()
    found = _json(text, manifest.MESSAGES)
    if not isinstance(found, list) or len(found) > _MAX_MESSAGES:
        raise _bad(manifest.MESSAGES, "no list of messages")
    return tuple(map(_message, found))


def _message(found: Any) -> dict[str, str]:
    role, content = _texts(found, "role", "content")
    if role not in {"system", "user", "assistant"} or content is None:
        raise _bad(manifest.MESSAGES, "no list of messages")
    return {"role": role, "content": content}


def _texts(found: Any, *keys: str) -> tuple[Any, ...]:
    """The values of an object's keys, where they are texts."""
    values = (found.get(key) if isinstance(found, dict) else None for key in keys)
    return tuple(value if isinstance(value, str) else None for value in values)


def _json(text: str, media_type: str) -> Any:
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise _bad(media_type, "no JSON that could be written down again") from None
    return found


def _title(text: str | None) -> str | None:
    """The first line that says something."""
    lines = (line.strip(" \t#*=-") for line in (text or "").splitlines())
    first = next((line for line in lines if line), None)
    return shown(first, 120) if first else None


def _bad(media_type: str, why: str) -> FetchError:
    return FetchError(f"The model's layer {media_type} is {why}.")
