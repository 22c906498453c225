"""`noibo inspect`: what a GGUF file says about itself, read by noibo's own bounds-checked reader.

The text of a model file is written by a stranger. On a terminal it is shown with control
characters escaped; `--json` gives it whole, escaped as JSON does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from json import JSONEncoder
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from noibo.modelstore.gguf.model_info import ModelInfo, describe
from noibo.modelstore.gguf.reader import GgufArray, GgufHeader, Value, read_header
from noibo.modelstore.printable import shown

_LIST_HEAD = 16  # values of a list that --json gives
_LONG_TEXT = 2**20  # characters; a text that is longer is treated as a list of them


def inspect(
    file: Annotated[Path, typer.Argument(help="The GGUF file.", show_default=False)],
    json: Annotated[
        bool, typer.Option("--json", help="Print everything, with all metadata, as JSON.")
    ] = False,
) -> None:
    """Show what is in a GGUF file, before any engine sees it."""
    header = read_header(file)
    info = describe(header)
    if json:
        encoder = JSONEncoder(indent=2, allow_nan=False)
        for piece in encoder.iterencode(_everything(header, info)):
            sys.stdout.write(piece)
        print()
        return
    rows = [(label, _encodable(shown(value))) for label, value in _rows(file, info)]
    if sys.stdout.isatty():
        _print_table(rows)
    else:
        width = max(len(label) for label, _ in rows)
        print("\n".join(f"{label:<{width}}  {value}" for label, value in rows))


def _print_table(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(label, Text(value))
    Console().print(table)


def _rows(file: Path, info: ModelInfo) -> Iterator[tuple[str, str]]:
    """What a person reads: label and value, leaving out what the file does not say."""
    facts: tuple[tuple[str, object], ...] = (
        ("file", file),
        ("size", f"{_bytes(info.file_size)}, GGUF version {info.gguf_version}"),
        ("kind", _kind(info)),
        ("name", info.name),
        ("by", info.organization),
        ("architecture", info.architecture),
        ("parameters", _parameters(info)),
        ("quantisation", _quantisation(info)),
        ("context length", _tokens(info.context_length)),
        ("layers", info.layers),
        ("embedding length", info.embedding_length),
        ("heads", _heads(info)),
        ("experts", _experts(info)),
        ("pooling", info.pooling),
        ("tokenizer", _joined(info.tokenizer, info.tokenizer_pre)),
        ("vocabulary", _tokens(info.vocabulary_size)),
        ("bos, eos", _ids(info)),
        ("licence", _joined(info.licence, info.licence_name, info.licence_link)),
        ("languages", _joined(*info.languages)),
        ("tags", _joined(*info.tags)),
        ("chat template", info.chat_template),
        ("more templates", _joined(*info.chat_templates)),
    )
    return ((label, str(value)) for label, value in facts if value not in (None, ""))


def _kind(info: ModelInfo) -> str:
    kind = _joined(info.kind, info.adapter, info.projector)
    return kind if info.part is None else f"{kind}, part {info.part} of {info.parts}"


def _parameters(info: ModelInfo) -> str:
    count = _scaled(info.parameters, ("", " K", " M", " B", " T"))
    label = f" (label {info.size_label})" if info.size_label else ""
    return f"{count} in {info.tensors} tensors{label}"


def _quantisation(info: ModelInfo) -> str | None:
    if info.quantisation is None:
        return info.file_type
    bits = f"{info.bits_per_weight} bits per weight"
    if info.file_type in {None, info.quantisation}:
        return f"{info.quantisation}, {bits}"
    return f"{info.file_type}, mostly {info.quantisation}, {bits}"


def _heads(info: ModelInfo) -> str | None:
    if info.heads is None:
        return None
    dimensions = None if info.key_length is None else f"{info.key_length} dimensions each"
    return _joined(f"{info.heads}", f"{info.kv_heads} of keys and values", dimensions)


def _experts(info: ModelInfo) -> str | None:
    if not info.experts:
        return None
    used = f"{info.experts_used} at a time" if info.experts_used else None
    return _joined(f"{info.experts}", used)


def _ids(info: ModelInfo) -> str | None:
    if info.bos_id is None and info.eos_id is None:
        return None
    return ", ".join("none" if id_ is None else str(id_) for id_ in (info.bos_id, info.eos_id))


def _tokens(count: int | None) -> str | None:
    return None if count is None else f"{count:,} tokens"


def _joined(*words: str | None) -> str:
    return ", ".join(word for word in words if word)


def _bytes(count: int) -> str:
    return _scaled(count, (" bytes", " KB", " MB", " GB", " TB"))


def _scaled(number: float, units: tuple[str, ...]) -> str:
    """Four digits and a unit, in steps of a thousand."""
    for unit in units[:-1]:
        if number < 1000:
            return f"{number:.4g}{unit}"
        number /= 1000
    return f"{number:,.4g}{units[-1]}"


def _encodable(text: str) -> str:
    """What the terminal's encoding cannot say, escaped rather than a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _everything(header: GgufHeader, info: ModelInfo) -> dict[str, Any]:
    return {
        "file": str(header.path),
        "info": info.as_dict(),
        "version": header.version,
        "alignment": header.alignment,
        "data_offset": header.data_offset,
        "metadata": {key: _plain(value) for key, value in header.metadata.items()},
        "tensors": [
            {
                "name": tensor.name,
                "shape": tensor.shape,
                "type": tensor.type.name,
                "offset": tensor.offset,
                "bytes": tensor.byte_size,
            }
            for tensor in header.tensors
        ],
    }


def _plain(value: Value) -> Any:
    """A value JSON can hold. Infinities and NaN become strings; of a list, its first values."""
    if isinstance(value, str) and len(value) > _LONG_TEXT:
        return {"type": "string", "count": len(value), "first": value[:1000]}
    if isinstance(value, GgufArray):
        first = [_plain(one) for one in value.read(_LIST_HEAD)]
        return {"type": value.element_type, "count": value.count, "first": first}
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
