"""How a llama-server is started: its options have changed their names over time. Pure.

A build says itself which it knows (`--help`), so that is what is gone by; what is essential and
unknown to it is refused, what only saves memory or words is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from noibo.errors import EngineUnusable
from noibo.hardware.offload import Device

KEY_VARIABLE: Final = "LLAMA_API_KEY"
KEY_FILE, TEMPLATE_FILE = "key.txt", "template.jinja"  # in the worker's own folder
_VERSION: Final = re.compile(r"^version:\s*(\S+)(?:\s*\((\w+)\))?", re.MULTILINE)
_OPTION: Final = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_DEVICE: Final = re.compile(r"^\s+(\w+): (.+?) \((\d+) MiB(?:, (\d+) MiB free)?\)$", re.MULTILINE)
_ESSENTIAL: Final = ("--model", "--host", "--port", "--ctx-size", "--parallel")


@dataclass(frozen=True, slots=True)
class Build:
    """What a build says of itself: number and commit, and its options."""

    number: str
    commit: str
    help: str

    @classmethod
    def of(cls, version: str, help_text: str) -> Build:
        """By what it says to `--version` and `--help`. Raises `EngineUnusable` for what is no
        llama-server, or too old a one."""
        found = _VERSION.search(version)
        build = cls(found[1] if found else "?", (found[2] or "") if found else "", help_text)
        missing = [name for name in _ESSENTIAL if not build.knows(name)]
        if missing or not (build.key_by_variable or build.knows("--api-key-file")):
            raise EngineUnusable(
                "That is no llama-server that noibo can run: it knows no "
                f"{', '.join(missing) or '--api-key-file'}.",
                next_step="Set engine.llama_server to the llama-server of llama.cpp, of 2024 or "
                "newer.",
            )
        return build

    def __str__(self) -> str:
        return f"llama-server {self.number}" + (f" ({self.commit})" if self.commit else "")

    def knows(self, name: str) -> bool:
        """Whether it has that option."""
        return name in _OPTION.findall(self.help)

    def takes_value(self, name: str) -> bool:
        """Whether that option wants a value: then its kind stands beside it."""
        return re.search(rf"{name} [^\s]", self.help) is not None

    @property
    def key_by_variable(self) -> bool:
        """It reads its key from the environment, where other users cannot."""
        return KEY_VARIABLE in self.help


def devices(listed: str) -> tuple[Device, ...]:
    """The GPUs that a build says it can use, in its order."""
    rows = _DEVICE.findall(listed.partition("devices:")[2])
    return tuple(
        Device(name, kind, int(whole) * 2**20, int(free or whole) * 2**20)
        for name, kind, whole, free in rows
    )


def arguments(build: Build, config: Mapping[str, Any], port: int) -> list[str]:
    """The options for a worker's configuration. No key is among them."""
    said = [
        *("--model", config["path"], "--host", "127.0.0.1", "--port", str(port)),
        *("--ctx-size", str(config["ctx_size"] * config["parallel"])),
        *("--parallel", str(config["parallel"]), "--threads", str(config["threads"])),
        *("--batch-size", str(config["batch"]), "--ubatch-size", str(config["batch"])),
    ]
    wanted = [
        *_state(build, config),
        *_files(build, config),
        *_vectors(config),
        *_quiet(build, config),
    ]
    for names, value in wanted:
        if name := next((one for one in names if build.knows(one)), None):
            said += [name] if value is None else [name, value]
    if not build.key_by_variable:
        said += ["--api-key-file", KEY_FILE]
    return said


Wanted = tuple[Sequence[str], str | None]  # names, the newest first, and the value


def _state(build: Build, config: Mapping[str, Any]) -> Iterator[Wanted]:
    """How the state of conversations is held."""
    if config["kv_type"] == "q8_0":
        yield ("--cache-type-k",), "q8_0"
        yield ("--cache-type-v",), "q8_0"
        yield ("--flash-attn",), "on" if build.takes_value("--flash-attn") else None
    yield ("--no-context-shift",), None
    yield ("--cache-ram",), str(config["cache_ram_mib"])
    yield ("--ctx-checkpoints", "--swa-checkpoints"), str(config["checkpoints"])
    yield ("--no-cache-idle-slots",), None
    yield ("--kv-unified" if config.get("pooling") else "--no-kv-unified",), None
    yield ("--fit",), "off"  # its size, and what goes to which GPU, is settled here
    if gpu := config.get("gpu"):
        yield ("--gpu-layers", "--n-gpu-layers"), str(gpu["layers"])
        yield ("--main-gpu",), str(gpu["main"])
        if gpu["split"]:
            yield ("--tensor-split",), ",".join(f"{share:g}" for share in gpu["split"])
        if config["projector"] and not gpu.get("projector", True):
            yield ("--no-mmproj-offload",), None


def _files(build: Build, config: Mapping[str, Any]) -> Iterator[Wanted]:
    if config["projector"]:
        yield ("--mmproj",), config["projector"]
    for adapter in config["adapters"]:
        yield ("--lora",), adapter
    if config["template"] and build.knows("--chat-template-file"):
        yield ("--chat-template-file",), TEMPLATE_FILE
    elif config["template"]:
        yield ("--chat-template",), config["template"]


def _vectors(config: Mapping[str, Any]) -> Iterator[Wanted]:
    pooling = config.get("pooling")
    if pooling == "rank":
        yield ("--reranking", "--rerank"), None
    elif pooling:
        yield ("--embeddings", "--embedding"), None
        yield ("--pooling",), pooling


def _quiet(build: Build, config: Mapping[str, Any]) -> Iterator[Wanted]:
    """What it is to do without, or to do for noibo alone."""
    yield ("--alias",), config["alias"]
    yield ("--slots",), None
    yield ("--offline",), None
    yield ("--no-ui", "--no-webui"), None
    yield ("--jinja",), None
    if config.get("thinks") is False:  # a request that wants it says so
        yield ("--chat-template-kwargs",), '{"enable_thinking":false}'
