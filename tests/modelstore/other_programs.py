"""Folders as Ollama, LM Studio, Hugging Face's library and llama.cpp fill them, made by hand."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.modelstore.gguf_builder import STRING, U32, Gguf, llama

OLLAMA = "application/vnd.ollama.image."
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.ollama.manifest.list.v2+json"
CONFIG = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model(name: str = "Tiny", licence: str = "") -> bytes:
    """A small good model; other names, other bytes."""
    made = llama().key("general.basename", STRING, name)
    return (made.key("general.license", STRING, licence) if licence else made).bytes()


def part(number: int, count: int) -> bytes:
    """A part, from 1, of a split model."""
    made = llama().key("split.no", U32, number - 1).key("split.count", U32, count)
    return made.bytes()


def projector() -> bytes:
    return Gguf().key("general.architecture", STRING, "clip").tensor("v.weight", (8,), 0).bytes()


def adapter() -> bytes:
    return llama().key("general.type", STRING, "adapter").bytes()


def checkpoint() -> dict[str, bytes]:
    """The files of a checkpoint in two shards."""
    files: dict[str, bytes] = {}
    names = {}
    for number in (1, 2):
        header = json.dumps(
            {f"w{number}": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
        ).encode()
        name = f"model-{number:05}-of-00002.safetensors"
        files[name] = len(header).to_bytes(8, "little") + header + bytes(8)
        names[f"w{number}"] = name
    files["model.safetensors.index.json"] = json.dumps({"weight_map": names}).encode()
    files["config.json"] = json.dumps({"model_type": "qwen2"}).encode()
    files["tokenizer.json"] = b"{}"
    return files


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@dataclass
class OllamaTree:
    """Ollama's folder of models."""

    path: Path
    mark: str = "-"  # between `sha256` and the digest; older versions wrote a colon
    _layers: dict[str, int] = field(default_factory=dict)

    def blob(self, data: bytes) -> str:
        digest = sha256(data)
        write(self.path / "blobs" / f"sha256{self.mark}{digest}", data)
        return f"sha256:{digest}"

    def layer(self, kind: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": OLLAMA + kind, "digest": self.blob(data), "size": len(data)}

    def manifest(self, layers: list[dict[str, Any]], config: bytes = CONFIG) -> dict[str, Any]:
        media_type = "application/vnd.docker.container.image.v1+json"
        described = {"mediaType": media_type, "digest": self.blob(config), "size": len(config)}
        return {"schemaVersion": 2, "mediaType": DOCKER, "config": described, "layers": layers}

    def entry(self, name: str, manifest: Any, top: str = "manifests") -> Path:
        """`name` is HOST/NAMESPACE/NAME/TAG, or NAME:TAG of the library."""
        if name.count("/") != 3:
            name = f"registry.ollama.ai/library/{name.replace(':', '/')}"
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        return write(self.path / top / name, data)

    def add(self, name: str, data: bytes, **layers: bytes) -> Path:
        """A model, with small layers by their kind; several of a kind as `license`, `license2`."""
        listed = [self.layer("model", data)]
        listed += [self.layer(kind.rstrip("23"), text) for kind, text in layers.items()]
        return self.entry(name, self.manifest(listed))

    def add_v2(self, name: str, manifest: Any) -> Path:
        """An entry of 2026: a link to the manifest among the blobs."""
        digest = self.blob(json.dumps(manifest).encode()).removeprefix("sha256:")
        path = self.path / "manifests-v2" / f"ollama.com/library/{name.replace(':', '/')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        blob = self.path / "blobs" / f"sha256-{digest}"
        path.symlink_to(os.path.relpath(blob, path.parent))
        return path


@dataclass
class HubRepo:
    """One repository in the cache of Hugging Face's library."""

    cache: Path
    repo: str
    links: bool = True

    @property
    def path(self) -> Path:
        return self.cache / f"models--{self.repo.replace('/', '--')}"

    def snapshot(self, files: dict[str, bytes], commit: str = COMMIT, ref: str = "main") -> Path:
        folder = self.path / "snapshots" / commit
        for name, data in files.items():
            large = len(data) > 300
            etag = sha256(data) if large else hashlib.sha1(data).hexdigest()
            if not self.links:
                write(folder / name, data)
                continue
            blob = write(self.path / "blobs" / etag, data)
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
        if ref:
            write(self.path / "refs" / ref, commit.encode())
        return folder
