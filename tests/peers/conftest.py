"""Other programs over the same weights: transformers, and the field's evaluation harness. They have
an environment of their own, made once and kept in `.cache/peers` (1.8 GB)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import CACHE

HERE = Path(__file__).parent
PLACE = CACHE / "peers"


@dataclass(frozen=True, slots=True)
class Peers:
    """Their Python, and a folder with the default model's weights, dequantised."""

    python: Path
    gguf: Path
    folder: Path

    def run(self, *arguments: str, told: str = "", where: Path = HERE) -> str:
        """What a program of theirs prints."""
        environ = dict(os.environ) | {
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HOME": str(PLACE / "home"),
            "TOKENIZERS_PARALLELISM": "false",
        }
        done = subprocess.run(
            [self.python, *arguments],
            input=told,
            capture_output=True,
            text=True,
            env=environ,
            cwd=where,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def scores(self, texts: list[list[int]]) -> list[list[float]]:
        """What transformers makes of each token but the first."""
        script, model = str(HERE / "dequantised.py"), (str(self.gguf), str(self.folder))
        found: list[list[float]] = json.loads(self.run(script, *model, told=json.dumps(texts)))
        return found


@pytest.fixture(scope="session")
def peers(smollm2_gguf: Path) -> Peers:
    wanted = HERE / "requirements.txt"
    made = PLACE / f"python-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    python = made / "bin" / "python"
    with FileLock(CACHE / "peers.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True)
            (made / "complete").touch()
        found = Peers(python, smollm2_gguf.resolve(), PLACE / "smollm2-135m")
        if not (found.folder / "config.json").exists():
            found.scores([[1, 2]])
    return found
