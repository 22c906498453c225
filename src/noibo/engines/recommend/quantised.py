"""Where checkpoints in AWQ and GPTQ lie: formats that engines on NVIDIA's cards are fastest with.

Each is four bits, made by the model's own maker or by one people trust. A GPU's memory must hold
all of it: no part of it can lie beside the GPU.
"""

from __future__ import annotations

from typing import Final

from noibo.modelstore.catalog.entry import Model

FORMATS: Final = ("AWQ", "GPTQ")
_QWEN25: Final = ("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b")
_QWEN3: Final = ("4b", "8b", "14b", "32b")
_OTHERS: Final = {
    "qwen2.5vl:3b": {"AWQ": "Qwen/Qwen2.5-VL-3B-Instruct-AWQ"},
    "qwen2.5vl:7b": {"AWQ": "Qwen/Qwen2.5-VL-7B-Instruct-AWQ"},
    "qwen2.5vl:32b": {"AWQ": "Qwen/Qwen2.5-VL-32B-Instruct-AWQ"},
    "qwen2.5vl:72b": {"AWQ": "Qwen/Qwen2.5-VL-72B-Instruct-AWQ"},
    "qwq:32b": {"AWQ": "Qwen/QwQ-32B-AWQ"},
    "llama3.1:8b": {
        "AWQ": "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
        "GPTQ": "hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4",
    },
    "llama3.1:70b": {
        "AWQ": "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
        "GPTQ": "hugging-quants/Meta-Llama-3.1-70B-Instruct-GPTQ-INT4",
    },
    "llama2:7b": {"AWQ": "TheBloke/Llama-2-7B-Chat-AWQ", "GPTQ": "TheBloke/Llama-2-7B-Chat-GPTQ"},
    "llama2:13b": {
        "AWQ": "TheBloke/Llama-2-13B-chat-AWQ",
        "GPTQ": "TheBloke/Llama-2-13B-chat-GPTQ",
    },
}


def repositories(model: Model) -> dict[str, str]:
    """Format to repository on the hub; nothing where none is known."""
    name, tag = model.family.name, model.size.tag if model.size else ""
    if name == "qwen2.5" and tag in _QWEN25:
        whole = f"Qwen/Qwen2.5-{tag.upper()}-Instruct"
        return {"AWQ": f"{whole}-AWQ", "GPTQ": f"{whole}-GPTQ-Int4"}
    if name == "qwen2.5-coder" and tag in _QWEN25[:-1]:
        whole = f"Qwen/Qwen2.5-Coder-{tag.upper()}-Instruct"
        return {"AWQ": f"{whole}-AWQ", "GPTQ": f"{whole}-GPTQ-Int4"}
    if name == "qwen3" and tag in _QWEN3:
        return {"AWQ": f"Qwen/Qwen3-{tag.upper()}-AWQ"}
    return _OTHERS.get(model.name, {})
