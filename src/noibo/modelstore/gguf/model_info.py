"""What a person wants to know about a GGUF model, taken from its header.

Every key may be missing, and a hostile file gives it any type: what is not of the type the key
should have counts as not said. Nothing here is proof that an engine can load the model.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#standardized-key-value-pairs
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from noibo.modelstore.gguf.ggml_types import FILE_TYPE_GUESSED, FILE_TYPES
from noibo.modelstore.gguf.reader import GgufHeader, read_header
from noibo.modelstore.gguf.said import MAX_TEXT, Said
from noibo.modelstore.gguf.state_shape import LayerState, layer_states

_TEMPLATE_KEY: Final = "tokenizer.chat_template"
_POOLING: Final = {0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a model file; None where the file does not say.

    Counts are of tokens, elements, layers, heads; sizes are in bytes. Where heads differ from
    layer to layer, the largest number is given. `parameters`, `tensor_bytes` and
    `matrices` are of this file's tensors: of a model in parts, only this part's.
    """

    kind: str  # model, adapter, projector, imatrix, or vocabulary: a file without tensors
    file_size: int
    gguf_version: int
    tensors: int
    parameters: int
    tensor_bytes: int
    quantisation: str | None  # the type most elements are stored in
    file_type: str | None  # the mix the file was quantised to, as Q4_K_M
    bits_per_weight: float | None

    name: str | None
    organization: str | None
    size_label: str | None
    licence: str | None
    licence_name: str | None
    licence_link: str | None
    languages: tuple[str, ...]
    tags: tuple[str, ...]

    architecture: str | None
    context_length: int | None
    rope_scaling: str | None  # how it was stretched to that: yarn, linear
    rope_factor: float | None
    unstretched_length: int | None  # tokens it was trained with before
    layers: int | None
    embedding_length: int | None
    feed_forward_length: int | None
    heads: int | None
    kv_heads: int | None
    key_length: int | None  # dimensions of one head
    value_length: int | None
    experts: int | None
    experts_used: int | None
    expert_feed_forward_length: int | None
    state: tuple[LayerState, ...]  # what its layers keep of a conversation
    matrices: dict[str, int]  # bytes of the matrices that vectors are multiplied with, by type
    pooling: str | None  # of an embedding model: none, mean, cls, last, rank

    tokenizer: str | None
    tokenizer_pre: str | None
    vocabulary_size: int | None
    bos_id: int | None
    eos_id: int | None
    chat_template: str | None
    chat_templates: dict[str, str]  # further templates by name

    adapter: str | None  # adapter.type, as lora
    projector: str | None  # clip.projector_type
    part: int | None  # of a model in parts: which (from 1), of how many
    parts: int | None

    def as_dict(self) -> dict[str, Any]:
        """The same facts as plain values, ready for JSON."""
        return dataclasses.asdict(self)


def inspect_model(path: Path) -> ModelInfo:
    """Read the GGUF file `path` and describe it. Raises as `read_header` does."""
    return describe(read_header(path))


def describe(header: GgufHeader) -> ModelInfo:
    """Describe a model from its header. Short lists are read from the file."""
    said = Said(header)
    parameters = sum(tensor.elements for tensor in header.tensors)
    tensor_bytes = sum(tensor.byte_size for tensor in header.tensors)
    part, parts = _part(said)
    return ModelInfo(
        kind=_kind(said, header),
        file_size=header.file_size,
        gguf_version=header.version,
        tensors=len(header.tensors),
        parameters=parameters,
        tensor_bytes=tensor_bytes,
        quantisation=_dominant_type(header),
        file_type=_file_type(said),
        bits_per_weight=round(8 * tensor_bytes / parameters, 2) if parameters else None,
        name=said.text("general.name"),
        organization=said.text("general.organization"),
        size_label=said.text("general.size_label"),
        licence=said.text("general.license"),
        licence_name=said.text("general.license.name"),
        licence_link=said.text("general.license.link"),
        languages=said.words("general.languages"),
        tags=said.words("general.tags"),
        tokenizer=said.text("tokenizer.ggml.model"),
        tokenizer_pre=said.text("tokenizer.ggml.pre"),
        vocabulary_size=said.length("tokenizer.ggml.tokens") or said.number("{arch}.vocab_size"),
        bos_id=said.number("tokenizer.ggml.bos_token_id"),
        eos_id=said.number("tokenizer.ggml.eos_token_id"),
        chat_template=said.text(_TEMPLATE_KEY),
        chat_templates=_named_templates(header),
        state=layer_states(said),
        matrices=_matrices(header),
        adapter=said.text("adapter.type"),
        projector=said.text("clip.projector_type") or said.text("clip.vision.projector_type"),
        part=part,
        parts=parts,
        **_shape(said),
    )


def _shape(said: Said) -> dict[str, Any]:
    """The network's dimensions. What llama.cpp derives when it is not said is derived here too."""
    embedding_length = said.number("{arch}.embedding_length")
    heads = said.number("{arch}.attention.head_count")
    derived = embedding_length // heads if embedding_length and heads else None
    kv_heads = said.number("{arch}.attention.head_count_kv")
    key_length = said.number("{arch}.attention.key_length")
    value_length = said.number("{arch}.attention.value_length")
    return {
        "architecture": said.architecture,
        "context_length": said.number("{arch}.context_length"),
        "rope_scaling": said.text("{arch}.rope.scaling.type"),
        "rope_factor": said.real("{arch}.rope.scaling.factor"),
        "unstretched_length": said.number("{arch}.rope.scaling.original_context_length"),
        "layers": said.number("{arch}.block_count"),
        "embedding_length": embedding_length,
        "feed_forward_length": said.number("{arch}.feed_forward_length"),
        "heads": heads,
        "kv_heads": heads if kv_heads is None else kv_heads,
        "key_length": derived if key_length is None else key_length,
        "value_length": derived if value_length is None else value_length,
        "experts": said.number("{arch}.expert_count"),
        "experts_used": said.number("{arch}.expert_used_count"),
        "expert_feed_forward_length": said.number("{arch}.expert_feed_forward_length"),
        "pooling": _POOLING.get(_or(said.number("{arch}.pooling_type"), -1)),
    }


def _or(number: int | None, otherwise: int) -> int:
    return otherwise if number is None else number


def _kind(said: Said, header: GgufHeader) -> str:
    stated = said.text("general.type")
    if stated == "adapter" or "adapter.type" in header.metadata:
        return "adapter"
    if stated in {"mmproj", "projector"} or said.architecture == "clip":
        return "projector"
    if stated == "imatrix":
        return "imatrix"
    in_parts = "split.count" in header.metadata
    return "model" if header.tensors or in_parts else "vocabulary"


def _part(said: Said) -> tuple[int | None, int | None]:
    """Which part, from 1, of how many; `split.no` counts from 0."""
    number, count = said.number("split.no"), said.number("split.count")
    if number is None or count is None or count < 2 or number >= count:
        return None, None
    return number + 1, count


def _dominant_type(header: GgufHeader) -> str | None:
    elements: Counter[str] = Counter()
    for tensor in header.tensors:
        elements[tensor.type.name] += tensor.elements
    return elements.most_common(1)[0][0] if elements else None


def _matrices(header: GgufHeader) -> dict[str, int]:
    """The table of embeddings is looked up, not multiplied with, unless it is the output's too."""
    tied = not any(tensor.name == "output.weight" for tensor in header.tensors)
    found: Counter[str] = Counter()
    for tensor in header.tensors:
        if sum(n > 1 for n in tensor.shape) > 1 and (tied or tensor.name != "token_embd.weight"):
            found[tensor.type.name] += tensor.byte_size
    return dict(found)


def _file_type(said: Said) -> str | None:
    number = said.number("general.file_type")
    return None if number is None else FILE_TYPES.get(number & ~FILE_TYPE_GUESSED)


def _named_templates(header: GgufHeader) -> dict[str, str]:
    prefix = _TEMPLATE_KEY + "."
    return {
        key.removeprefix(prefix): value
        for key, value in header.metadata.items()
        if key.startswith(prefix) and isinstance(value, str) and len(value) <= MAX_TEXT
    }
