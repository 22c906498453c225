"""What a checkpoint's folder says of the model in it. Read by the server: nothing is imported for
it, nothing unpickled."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.errors import BadModelFile, NotSupported
from noibo.modelstore.importing.strange_tree import read_small

CONFIG: Final = "config.json"
ENCODERS: Final = ("bert", "xlm-roberta", "roberta")  # that OpenVINO runs
FOLDER: Final = "folder"  # where a model's options have what was read of it
LARGEST: Final = 16 * 2**20  # bytes of a file that is read whole
MOST_FILES: Final = 10_000  # of a folder that are looked at
# Kinds whose positions begin behind that of the padding.
_AFTER_PAD: Final = (
    "camembert",
    "data2vec-text",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
_PAD: Final = 1  # theirs, where the configuration is silent
_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
}
_WRITERS: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class Folder:
    """One model: `dtype` its weights are stored in, and the numbers that its state is sized by;
    `positions`: tokens of the longest text that it can read."""

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
    named = said.get("architectures")
    first = named[0] if isinstance(named, list) and named else ""
    types = (said.get("dtype"), said.get("torch_dtype"), text.get("dtype"), "float32")
    dtype = next(one for one in types if isinstance(one, str) and one)
    kind = said.get("model_type")
    positions = number("max_position_embeddings", "n_positions")
    return Folder(
        kind=kind if isinstance(kind, str) else "",
        writes=str(first).endswith(_WRITERS),
        dtype=dtype.removeprefix("torch."),
        pooling=_pooling(path),
        layers=number("num_hidden_layers", "n_layer"),
        width=width,
        inner=number("intermediate_size", "n_inner", default=4 * width),
        keys=number("num_key_value_heads", default=heads) * head,
        vocabulary=number("vocab_size"),
        positions=max(positions - first_position(said), 0),
    )


def first_position(said: Mapping[str, Any]) -> int:
    """That of a text's first token, by the configuration: so many lie unused before it."""
    if said.get("model_type") not in _AFTER_PAD:
        return 0
    pad = said.get("pad_token_id")
    known: int = pad if type(pad) is int and 0 <= pad < 2**31 else _PAD
    return known + 1


def files_of(path: Path) -> tuple[Path, ...]:
    """The folder, and the files among the blobs beside it that its links lead to: so lie models in
    the hub's cache, and in a store without hard links. Links to any other place lead nowhere for a
    worker: they came with the model."""
    return (path, *dict.fromkeys(_linked(path)))


def _linked(path: Path) -> Iterator[Path]:
    blobs = path.resolve().parent.parent.joinpath("blobs").resolve()
    for one in itertools.islice(path.rglob("*"), MOST_FILES):
        with contextlib.suppress(OSError, RuntimeError):  # gone meanwhile; links in a circle
            if one.is_symlink() and (target := one.resolve()).is_relative_to(blobs):
                yield target


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
        found = json.loads(read_small(path, LARGEST))
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
    if alone.is_file():
        return read_small(alone, LARGEST).decode()
    said = path / "tokenizer_config.json"
    found = _object(said).get("chat_template") if said.is_file() else None
    if isinstance(found, list):  # several, by name
        named = (one for one in found if isinstance(one, dict) and one.get("name") == "default")
        found = next((one.get("template") for one in named), "")
    return found if isinstance(found, str) else ""
