"""`noibo ps` and `noibo load`: what runs, where it lies, and who waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from noibo.cli.amounts import seconds, short_seconds, short_size, size
from noibo.cli.workers import placement
from tests.running import RunningServer, run_noibo, until


@pytest.fixture
def one_slot(home: Path) -> Iterator[RunningServer]:
    with RunningServer(home, NOIBO_ENGINE_PARALLEL="1") as server:
        yield server


def test_ps_shows_workers_memory_and_who_waits(one_slot: RunningServer, home: Path) -> None:
    url = one_slot.url + "/v1/completions"
    body = {"model": "echo", "prompt": "a b c", "stream": True, "x_echo": {"delay_ms": 600_000}}
    headers = {"X-Noibo-Priority": "batch"}
    with (
        one_slot.client() as client,
        ThreadPoolExecutor(1) as pool,
        httpx2.stream("POST", url, json=body, timeout=60) as answer,
    ):
        until(lambda: bool(client.queue().answering), "the slot is taken")
        waiter = pool.submit(httpx2.post, url, json=body, headers=headers, timeout=60)
        until(lambda: bool(client.queue().waiting), "another waits")
        shown = run_noibo("ps", home=home)
        told = json.loads(run_noibo("ps", "--json", home=home).stdout)
        client.stop_worker("echo")
        answer.close()
        waiter.result()
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == f"noibo serves on {one_slot.url}"
    assert lines[1].startswith("models hold ")
    assert lines[2].startswith("  echo  echo  ready  1 of 1 slots busy  answering")
    assert "held" in lines[3]
    assert "predicted" in lines[3]
    assert lines[4].startswith("    placed: none")
    assert lines[-3] == "Waiting: 1, at most 512"
    assert lines[-1].split()[:3] == ["1", "127.0.0.1", "batch"]
    (row,) = told["queue"]["waiting"]
    assert (row["place"], row["why"], row["model"]) == (1, "queue", "echo")
    assert told["workers"][0]["slots"] == 1


def test_load_loads_and_says_how_the_model_stands(one_slot: RunningServer, home: Path) -> None:
    done = run_noibo("load", "echo", "--keep-alive", "1h", "--pin", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "echo  echo  ready  0 of 1 slots busy  pinned" in done.stdout
    refused = run_noibo("load", "echo", "--keep-alive", "soon", home=home)
    assert refused.returncode == 10
    assert "is no length of time" in refused.stderr
    missing = run_noibo("load", "nosuch", home=home)
    assert missing.returncode == 10
    assert "nosuch" in missing.stderr
    done = run_noibo("load", "echo", "--no-pin", home=home)
    assert "pinned" not in done.stdout


@pytest.mark.parametrize(
    ("placed", "words"),
    [
        (
            {
                "device": "cpu",
                "threads": 2,
                "ctx_size": 2048,
                "parallel": 4,
                "kv_type": "q8_0",
                "layers": 30,
                "batch": 64,
                "kv_bytes": 94_371_840,
            },
            "cpu, 30 layers, 2 threads, 4 × 2048 tokens, KV q8_0, batch 64, kv 94 MB",
        ),
        ({"device": "none"}, "none"),
        (
            {
                "device": "cpu, CUDA0",
                "devices": {
                    "cpu": {"weights": 96_573_850, "layers": 2},
                    "CUDA0": {"weights": 2 * 10**9, "kv": 188_743_680, "layers": 28},
                },
                "ctx_size": 8192,
                "context": 4096,
                "parallel": 2,
                "flash_attention": True,
            },
            "cpu (2 layers, weights 97 MB), CUDA0 (28 layers, weights 2.0 GB, kv 189 MB), "
            "2 × 4096 tokens, flash attention",
        ),
        ({"device": "cpu", "isolation": {"missing": ["network"]}}, "cpu, not shut off: network"),
        ({}, "?"),
    ],
)
def test_a_placement_is_read_out_in_words(placed: dict[str, object], words: str) -> None:
    assert placement(placed) == words


def test_amounts_are_short_and_never_wider_than_a_column() -> None:
    assert [size(n) for n in (0, 999, 10**6, 512e6, 1.25e9, 19e9)] == [
        "0 kB",
        "1 kB",
        "1 MB",
        "512 MB",
        "1.2 GB",
        "19 GB",
    ]
    assert all(len(short_size(7 * 10**n + 10**n // 3)) <= 4 for n in range(15))
    assert all(len(short_size(10**n - 1)) <= 5 for n in range(16))
    assert [seconds(n) for n in (-1, 8.4, 119, 121, 7300, 10**6)] == [
        "0 s",
        "8 s",
        "119 s",
        "2 min",
        "2 h",
        "12 d",
    ]
    assert short_seconds(300) == "5m"
