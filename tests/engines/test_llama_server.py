"""How a llama-server of the user's is started: its options by its own help, of old builds and
new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from noibo.engines.llama_server import binary
from noibo.engines.llama_server.adapter import LlamaServer
from noibo.engines.llama_server.flags import Build, arguments, devices
from noibo.engines.llama_server.process import SERVES
from noibo.errors import EngineMissing, EngineUnusable

HELPS = Path(__file__).parent / "transcripts"
VERSION = (
    "version: 6923 (76af40aaa)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n"
)
CUDA = (
    "ggml_cuda_init: found 1 CUDA devices:\n"
    "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n"
    "Available devices:\n"
    "  CUDA0: NVIDIA GeForce RTX 3090 (24135 MiB, 23856 MiB free)\n"
)
CONFIG: dict[str, Any] = {
    "path": "/m.gguf",
    "alias": "m",
    "ctx_size": 1024,
    "parallel": 2,
    "threads": 3,
    "batch": 64,
    "kv_type": "q8_0",
    "cache_ram_mib": 0,
    "checkpoints": 3,
    "projector": "",
    "adapters": [],
    "template": "{{ messages }}",
    "api_key": "sk-secret",
}


def build(year: str) -> Build:
    return Build.of(VERSION, (HELPS / f"llama_server_help_{year}.txt").read_text())


def pairs(said: list[str]) -> dict[str, str]:
    """Options with their values; of a switch, the empty text."""
    nexts = [*said[1:], "-"]
    return {
        one: "" if then.startswith("-") else then
        for one, then in zip(said, nexts, strict=True)
        if one.startswith("-")
    }


def test_its_version_and_its_devices_are_read() -> None:
    new = build("2025")
    assert str(new) == "llama-server 6923 (76af40aaa)"
    assert str(Build.of("no word of it", new.help)) == "llama-server ?"
    (gpu,) = devices(CUDA)
    assert (gpu.name, gpu.description) == ("CUDA0", "NVIDIA GeForce RTX 3090")
    assert (gpu.memory_bytes >> 20, gpu.free_bytes) == (24135, 23856 << 20)
    assert devices("Available devices:\n") == ()


def test_a_build_of_now_gets_the_options_of_now() -> None:
    said = pairs(arguments(build("2025"), CONFIG, 8123))
    assert said["--ctx-size"] == "2048"  # for both callers
    assert said["--port"] == "8123"
    assert said["--flash-attn"] == "on"
    assert said["--cache-ram"] == "0"
    assert said["--ctx-checkpoints"] == "3"
    assert said["--fit"] == "off"
    assert said["--chat-template-file"] == "template.jinja"
    assert {"--no-webui", "--offline", "--slots", "--no-kv-unified", "--jinja"} <= said.keys()
    assert "--api-key-file" not in said


def test_an_old_build_gets_its_own() -> None:
    old = build("2024")
    said = pairs(arguments(old, CONFIG, 8123))
    assert said["--flash-attn"] == ""
    assert said["--chat-template"] == "{{ messages }}"
    assert said["--api-key-file"] == "key.txt"
    unknown = {"--cache-ram", "--fit", "--offline", "--no-kv-unified", "--jinja"}
    assert not unknown & said.keys()
    assert all(old.knows(one) for one in said)


@pytest.mark.parametrize("year", ["2024", "2025"])
def test_no_key_stands_in_a_command_line(year: str) -> None:
    assert not [one for one in arguments(build(year), CONFIG, 1) if "sk-secret" in one]


def test_vectors_and_ranks_have_their_options() -> None:
    vectors = pairs(arguments(build("2025"), CONFIG | {"pooling": "mean"}, 1))
    assert {"--embeddings", "--kv-unified"} <= vectors.keys()
    assert vectors["--pooling"] == "mean"
    ranks = pairs(arguments(build("2024"), CONFIG | {"pooling": "rank"}, 1))
    assert "--reranking" in ranks


@pytest.mark.parametrize("year", ["2024", "2025"])
def test_layers_go_to_gpus_as_they_were_planned(year: str) -> None:
    gpu = {"gpu": {"layers": 20, "split": [12.0, 8.0], "main": 0}}
    said = pairs(arguments(build(year), CONFIG | gpu, 1))
    assert said["--gpu-layers"] == "20"
    assert said["--tensor-split"] == "12,8"
    assert "--gpu-layers" not in arguments(build(year), CONFIG | {"gpu": {}}, 1)


def test_another_program_is_not_taken_for_one() -> None:
    with pytest.raises(EngineUnusable, match="no llama-server"):
        Build.of("", "usage: cat [OPTION]... [FILE]...")


@pytest.mark.parametrize(
    ("line", "serves"),
    [
        ("main: server is listening on http://127.0.0.1:8080 - starting the main loop", True),
        ("llama_server: listening on http://0.0.0.0:8080", True),
        ("srv  update_slots: all slots are idle", True),
        ("llama server listening at http://127.0.0.1:8080", True),
        ("main: HTTP server is listening, hostname: 127.0.0.1, port: 8080, http threads: 7", False),
        ("srv    load_model: loading model '/m.gguf'", False),
    ],
)
def test_the_line_that_says_that_it_serves_is_known(line: str, serves: bool) -> None:
    assert bool(SERVES.search(line)) is serves


def test_one_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"engine\.llama_server") as error:
        LlamaServer(str(tmp_path / "none")).available()
    assert "install" in error.value.next_step


def test_one_that_dies_when_it_is_asked_is_not_trusted(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nkill -ILL $$\n")
    program.chmod(0o755)
    with pytest.raises(EngineUnusable, match="SIGILL"):
        binary.build_of(program)
