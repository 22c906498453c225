"""What a checkpoint's folder says of the model in it. Read by the server: nothing is imported for
it, nothing unpickled."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.errors import BadModelFile, NotSupported

CONFIG: Final = "config.json"
ENCODERS: Final = ("bert", "xlm-roberta", "roberta")  # that OpenVINO runs
FOLDER: Final = "folder"  # where a model's options have what was read of it
LARGEST: Final = 16 * 2**20  # bytes of a file that is read whole
_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
}
_WRITERS: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class Folder:
    """One model: `dtype` its weights are stored in, and the numbers that its state is sized by."""

    kind: str
    writes: bool
    dtype: str
    pooling: str
    layers: int
    width: int
    inner: int
    keys: int  # numbers of keys, and of values, in a layer for a token
    vocabulary: int
    positions: int

    @property
    def engine(self) -> str:
        """Which one runs it, where nobody says so."""
        return "transformers" if self.writes or self.kind not in ENCODERS else "openvino"

    @classmethod
    def of(cls, path: Path) -> Folder:
        """Reads it anew only when it has changed. Raises `BadModelFile`, and `NotSupported` for
        weights that could hold a program."""
        config = path / CONFIG
        try:
            return _read(path, config.stat().st_mtime_ns)
        except OSError as exc:
            raise BadModelFile(
                f"There is no {CONFIG} in {path}: it is no checkpoint.",
                next_step="Give the folder that transformers' save_pretrained wrote.",
            ) from exc


@functools.lru_cache(maxsize=64)
def _read(path: Path, _changed: int) -> Folder:
    _require_safetensors(path)
    said = _object(path / CONFIG)
    inner = said.get("text_config")
    text: Mapping[str, Any] = inner if isinstance(inner, dict) else said
    number = functools.partial(_number, text)
    heads = number("num_attention_heads", default=1)
    width = number("hidden_size", "n_embd", "d_model")
    head = number("head_dim", default=width // max(heads, 1))
    named = said.get("architectures") or [""]
    dtype = said.get("dtype") or said.get("torch_dtype") or text.get("dtype") or "float32"
    return Folder(
        kind=str(said.get("model_type") or ""),
        writes=str(named[0]).endswith(_WRITERS),
        dtype=str(dtype).removeprefix("torch."),
        pooling=_pooling(path),
        layers=number("num_hidden_layers", "n_layer"),
        width=width,
        inner=number("intermediate_size", "n_inner", default=4 * width),
        keys=number("num_key_value_heads", default=heads) * head,
        vocabulary=number("vocab_size"),
        positions=number("max_position_embeddings", "n_positions"),
    )


def folder_of(model: Model) -> Folder:
    """What its lookup has read, else what its folder says now. Raises as `Folder.of`."""
    found = model.options.get(FOLDER)
    if isinstance(found, Folder):
        return found
    if model.path is None:
        raise BadModelFile(f"{model.name} has no folder.")
    return Folder.of(model.path)


def _require_safetensors(path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    pickled = sorted(one.name for one in path.iterdir() if one.suffix in _PICKLES)
    if pickled:
        raise NotSupported(
            f"{path} has its weights as pickles ({pickled[0]}): a program may be in them, so they "
            "are not read.",
            next_step="Convert them to safetensors where you trust them: load the model with "
            "transformers and call save_pretrained; or fetch a revision that has safetensors.",
        )
    raise BadModelFile(
        f"There are no safetensors in {path}.",
        next_step="Fetch it again, from where the model is published.",
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise BadModelFile(f"{path} is too large to be what it should.")
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise BadModelFile(f"{path} is not JSON: {exc}.") from exc
    if not isinstance(found, dict):
        raise BadModelFile(f"{path} is no JSON object.")
    return found


def _number(said: Mapping[str, Any], *names: str, default: int = 0) -> int:
    found = (said.get(name) for name in names)
    return next((one for one in found if type(one) is int and 0 < one < 2**48), default)


def _pooling(path: Path) -> str:
    """As sentence-transformers wrote it down, else the mean."""
    said = path / "1_Pooling" / CONFIG
    config = _object(said) if said.is_file() else {}
    return next((how for name, how in _POOLING.items() if config.get(name)), "mean")


def chat_template(path: Path) -> str:
    """The chat template that lies in the folder; empty for none."""
    alone = path / "chat_template.jinja"
    if alone.is_file() and alone.stat().st_size <= LARGEST:
        return alone.read_text(encoding="utf-8")
    said = path / "tokenizer_config.json"
    found = _object(said).get("chat_template") if said.is_file() else None
    if isinstance(found, list):  # several, by name
        found = next((one.get("template") for one in found if one.get("name") == "default"), "")
    return found if isinstance(found, str) else ""
