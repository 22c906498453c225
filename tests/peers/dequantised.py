"""Run by the peers' own Python: write a GGUF model's weights, dequantised, as a Hugging Face
folder, and say what transformers makes of texts. `python dequantised.py MODEL.gguf FOLDER`, lists
of token ids on standard input, as JSON; lists of log-probabilities on standard output."""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def dequantise(gguf: Path, folder: Path) -> None:
    linked = folder.with_suffix(".gguf")
    linked.unlink(missing_ok=True)
    linked.symlink_to(gguf)
    config = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        linked.parent, gguf_file=linked.name, quantization_config=config, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(linked.parent, gguf_file=linked.name)
    for attribute in ("quantization_config",):
        if hasattr(model.config, attribute):
            delattr(model.config, attribute)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def scores(folder: Path, texts: list[list[int]]) -> list[list[float]]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for text in texts:
        with torch.inference_mode():
            logits = model(torch.tensor([text])).logits[0, :-1].double()
        rows = logits.log_softmax(-1)
        found.append(rows[torch.arange(len(text) - 1), torch.tensor(text[1:])].tolist())
    return found


if __name__ == "__main__":
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if not (folder / "config.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        dequantise(gguf, folder)
    print(json.dumps(scores(folder, json.load(sys.stdin))))
