"""Headers of models that are too large to have here: the facts alone, without a weight."""

from __future__ import annotations

from pathlib import Path

from noibo.engines.engine import Model
from noibo.modelstore.gguf.model_info import inspect_model
from tests.modelstore.gguf_builder import F32, STRING, U32, Gguf

MIB = 2**20


def header(architecture: str = "llama", **facts: int | float | str) -> Gguf:
    """A model of 4 layers; `facts` by the end of their key, `_` for its dots."""
    said: dict[str, int | float | str] = {
        "context_length": 8192,
        "embedding_length": 512,
        "feed_forward_length": 1024,
        "block_count": 4,
        "attention.head_count": 8,
        "attention.head_count_kv": 2,
        "attention.key_length": 64,
        "attention.value_length": 64,
    }
    said |= {name.replace("__", "."): value for name, value in facts.items()}
    gguf = Gguf().key("general.architecture", STRING, architecture)
    for name, value in said.items():
        kind = STRING if isinstance(value, str) else F32 if isinstance(value, float) else U32
        gguf.key(f"{architecture}.{name}", kind, value)
    gguf.key("tokenizer.ggml.model", STRING, "llama")
    gguf.list_key("tokenizer.ggml.tokens", STRING, [f"t{number}" for number in range(1000)])
    return gguf.tensor("token_embd.weight", (512, 1000), 1).tensor(
        "blk.0.ffn_up.weight", (512, 1000), 1
    )


def model(folder: Path, gguf: Gguf | None = None, name: str = "m") -> Model:
    """A model as engines see it, by a header that was really written and read."""
    path = folder / f"{name}.gguf"
    path.write_bytes((gguf or header()).bytes())
    info = inspect_model(path)
    trained = info.context_length or 0
    size = path.stat().st_size
    return Model(name, "llama_cpp", path, info.parameters, trained, info=info, bytes=size)
