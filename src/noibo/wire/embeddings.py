"""Embeddings on the wire: what a request may ask, and vectors as the data of an answer.

A vector is an array of 32-bit floats. Engines give it as base64 of these, and so do we where that
is asked for (the `openai` package does, unless told otherwise): nothing is rounded on the way.
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from noibo.errors import EngineError, InvalidRequest
from noibo.wire.body import Fields, Json, field
from noibo.wire.metadata import KEPT

Vector = array  # of type "f"
Input = str | list[int | str]  # a text, or tokens; llama-server knows texts between tokens too
Inputs = str | list[str | int | list[int | str]]  # as they are sent: one, or several
MOST_INPUTS: Final = 2048
_HINT: Final = "Send a text, a list of texts, a list of token ids, or a list of such lists."
READ: Final = ("model", "input", "content", "encoding_format", "dimensions", "user", "keep_alive")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for vectors, parsed once. `more` are fields that only the engine knows."""

    inputs: list[Input]
    base64: bool
    dimensions: int | None
    user: str | None
    more: Fields


def parse(fields: Fields) -> Asked:
    """A request of OpenAI's API. Raises `InvalidRequest`."""
    form = field(fields, "encoding_format", Literal["float", "base64"], "float")
    return Asked(
        inputs=_read_inputs(fields, "input", mixed=False),
        base64=form == "base64",
        dimensions=_dimensions(fields),
        user=field(fields, "user", KEPT["user"]),
        more=_more(fields),
    )


def parse_native(fields: Fields) -> Asked:
    """A request of llama-server's own: `content` or `input`, and tokens and texts may be mixed."""
    name = "input" if field(fields, "input", Any) is not None else "content"
    inputs = _read_inputs(fields, name, mixed=True)
    return Asked(
        inputs, False, _dimensions(fields), field(fields, "user", KEPT["user"]), _more(fields)
    )


def _dimensions(fields: Fields) -> int | None:
    wanted: int | None = field(fields, "dimensions", int)
    if wanted is not None and wanted < 1:
        raise InvalidRequest(f"dimensions: {wanted} is less than 1.", param="dimensions")
    return wanted


def require_few(inputs: Sequence[Input], name: str, most: int) -> None:
    """Raises `InvalidRequest` for more inputs than are taken at once."""
    if len(inputs) > most:
        raise InvalidRequest(
            f"{name} has {len(inputs)} entries; at most {most} are taken at once.",
            param=name,
            next_step="Send them in several requests.",
        )


def _more(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in READ}


def _read_inputs(fields: Fields, name: str, *, mixed: bool) -> list[Input]:
    said = field(fields, name, Inputs)
    if said is None:
        raise InvalidRequest(f"{name} is missing.", param=name, next_step=_HINT)
    inputs = _as_list(said, name, mixed=mixed)
    require_few(inputs, name, MOST_INPUTS)
    for number, one in enumerate(inputs):
        _check(one, name if isinstance(said, str) else f"{name}[{number}]", name, mixed=mixed)
    return inputs


def _as_list(said: Any, name: str, *, mixed: bool) -> list[Input]:
    """Every input on its own: a list with a token in it is one input."""
    if isinstance(said, str):
        return [said]
    if not said:
        raise InvalidRequest(f"{name} is an empty list.", param=name, next_step=_HINT)
    if not any(isinstance(one, int) for one in said):
        return list(said)
    if any(isinstance(one, list) for one in said) or not (mixed or _are_tokens(said)):
        raise InvalidRequest(
            f"{name} mixes tokens with other entries.", param=name, next_step=_HINT
        )
    return [list(said)]


def _check(one: Input, place: str, name: str, *, mixed: bool) -> None:
    if not one:
        raise InvalidRequest(f"{place} is empty.", param=name, next_step="Leave it out.")
    if isinstance(one, str):
        return
    if not (mixed or _are_tokens(one)):
        raise InvalidRequest(f"{place} mixes tokens and texts.", param=name, next_step=_HINT)
    if any(isinstance(token, int) and token < 0 for token in one):
        raise InvalidRequest(f"{place} has a negative token id.", param=name)


def _are_tokens(said: Iterable[Any]) -> bool:
    return all(isinstance(one, int) for one in said)


# ── vectors ─────────────────────────────────────────────────────────────────


def vector_of(text: str) -> Vector[float]:
    """A vector from base64 of little-endian 32-bit floats. Raises `EngineError`."""
    found = array("f")
    try:
        found.frombytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as exc:
        raise EngineError("The engine sent a vector that cannot be read.") from exc
    if sys.byteorder == "big":
        found.byteswap()
    return sound(found)


def shortened(vector: Vector[float], dimensions: int) -> Vector[float]:
    """The first so many numbers, of length 1 again: what Matryoshka models are trained for."""
    if dimensions > len(vector):
        raise InvalidRequest(
            f"dimensions: {dimensions} is more than the {len(vector)} of this model.",
            param="dimensions",
            next_step=f"Ask for {len(vector)} or fewer, or leave it out.",
        )
    return normalised(vector[:dimensions])


def normalised(vector: Vector[float]) -> Vector[float]:
    """The same direction, of length 1; a vector of zeros stays what it is."""
    length = math.sqrt(math.fsum(one * one for one in vector))
    return array("f", [one / length for one in vector]) if length else vector


def sound(vector: Vector[float]) -> Vector[float]:
    """The vector, if its numbers are some. Raises `EngineError`."""
    if not vector or not math.isfinite(math.fsum(vector)):
        raise EngineError("The engine sent a vector with numbers that are none.")
    return vector


# ── answers ─────────────────────────────────────────────────────────────────


def answer(
    vectors: Sequence[Vector[float]], model: str, prompt_tokens: int, *, packed: bool
) -> Json:
    """OpenAI's answer; `packed`: vectors in base64."""
    shape = _packed if packed else list
    data = [
        {"object": "embedding", "index": number, "embedding": shape(vector)}
        for number, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def native_answer(vectors: Iterable[Vector[float]]) -> list[Json]:
    """llama-server's own: for each input a list of vectors, here one of all of it."""
    return [{"index": number, "embedding": [list(vector)]} for number, vector in enumerate(vectors)]


def native_answer_of_rows(rows: Iterable[Iterable[bytes]]) -> list[Json]:
    """The same with a vector of each token, in JSON already."""
    return [
        {"index": number, "embedding": msgspec.Raw(b"[" + b",".join(one) + b"]")}
        for number, one in enumerate(rows)
    ]


def _packed(vector: Vector[float]) -> str:
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
