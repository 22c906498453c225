from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noibo.modelstore import catalog
from tests.running import run_noibo

WIDTH = 100
FOUND = [
    {
        "id": "somebody/Hub-Model-GGUF",
        "modelId": "somebody/Hub-Model-GGUF",
        "downloads": 12345,
        "likes": 6,
        "tags": ["gguf", "license:apache-2.0"],
        "gated": False,
        "private": False,
        "lastModified": "2026-01-02T03:04:05.000Z",
    }
]


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub on a loopback port that finds one repository, whatever is asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(FOUND).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_table_names_every_family_and_fits_the_page(home: Path) -> None:
    told = run_noibo("catalog", home=home)
    assert (told.returncode, told.stderr) == (0, "")
    head = told.stdout.splitlines()[0].split()
    assert head == ["MODEL", "SIZES", "LICENCE", "LANG", "CONTEXT", "~GB", "BEST", "FOR"]
    assert max(map(len, told.stdout.splitlines())) <= WIDTH
    firsts = {line.split()[0] for line in told.stdout.splitlines() if line[:1].strip()}
    short = {one.name for one in catalog.load().families if len(one.name) <= 20}
    assert short <= firsts
    assert "API only" in told.stdout
    assert "about what the weights take" in told.stdout


def test_a_family_is_told_size_by_size_with_what_its_licences_mean(home: Path) -> None:
    told = run_noibo("catalog", "qwen2.5", home=home).stdout
    for name in ("qwen2.5:7b", "qwen2.5:72b", "qwen2.5:3b"):
        assert f"\n{name} " in told
    assert "Alibaba" in told
    assert "Licence Qwen Research License: Research and evaluation only" in told
    assert "Licence Apache License 2.0" in told
    assert max(map(len, told.splitlines())) <= WIDTH


def test_part_of_a_name_finds_all_families_with_it(home: Path) -> None:
    told = json.loads(run_noibo("catalog", "llama", "--json", home=home).stdout)
    assert {model["family"] for model in told} == {"llama"}
    told = json.loads(run_noibo("catalog", "phi-", "--json", home=home).stdout)
    assert {"phi", "phi3", "phi4"} <= {model["family"] for model in told}


def test_the_table_speaks_vietnamese(home: Path) -> None:
    told = run_noibo("catalog", "--lang", "vi", "--use", "embedding", home=home).stdout
    assert "HỢP NHẤT CHO" in told
    assert "tìm kiếm" in told


@pytest.mark.parametrize(
    ("use", "has", "lacks"),
    [
        ("vietnamese", "vistral", "llama2"),
        ("code", "qwen2.5-coder", "vistral"),
        ("vision", "qwen3-vl", "qwen3"),
        ("embedding", "bge-m3", "llama3"),
        ("chat", "llama3", "bge-m3"),
    ],
)
def test_the_table_can_be_for_one_use(home: Path, use: str, has: str, lacks: str) -> None:
    told = json.loads(run_noibo("catalog", "--use", use, "--json", home=home).stdout)
    families = {model["family"] for model in told}
    assert has in families
    assert lacks not in families


def test_json_has_the_facts_of_every_model(home: Path) -> None:
    told = {
        model["name"]: model
        for model in json.loads(run_noibo("catalog", "--json", home=home).stdout)
    }
    assert len(told) == len(list(catalog.load().models))
    llama = told["llama3:8b"]
    assert llama["parameters"] == 8_030_261_248
    assert llama["context_length"] == 8192
    assert llama["licence_kind"] == "llama"
    assert "700 million" in llama["licence_means"]["en"]
    assert llama["quantisations"][0] == "Q4_K_M"
    assert 4.5e9 < llama["memory_about_bytes"] < 5.5e9
    assert told["smollm2:135m"]["memory_about_bytes"] == 98_362_432
    assert told["gpt-4o-mini"]["api_only"]
    assert told["gpt-4o-mini"]["memory_about_bytes"] is None


def test_an_unknown_family_is_told_how_to_go_on(home: Path) -> None:
    told = run_noibo("catalog", "zzz", home=home)
    assert told.returncode == 3
    assert "noibo search" in told.stderr


def test_a_search_shows_the_catalogue_and_then_the_hub(home: Path, hub: str) -> None:
    told = run_noibo("search", "tiếng", "Việt", "nhỏ", home=home, NOIBO_FETCH_HUB=hub)
    assert (told.returncode, told.stderr) == (0, "")
    ours, _, theirs = told.stdout.partition("On the hub:")
    assert "In the catalogue:" in ours
    assert "phogpt" in ours
    assert "hf.co/somebody/Hub-Model-GGUF" in theirs
    assert "12,345" in theirs
    assert "permissive" in theirs
    assert max(map(len, told.stdout.splitlines())) <= WIDTH


def test_a_search_in_json_has_both_lists(home: Path, hub: str) -> None:
    told = run_noibo("search", "vistral", "--json", home=home, NOIBO_FETCH_HUB=hub)
    found = json.loads(told.stdout)
    assert [model["name"] for model in found["catalogue"]] == ["vistral:7b"]
    assert found["hub"][0]["name"] == "hf.co/somebody/Hub-Model-GGUF"
    assert found["hub"][0]["licence_kind"] == "permissive"


@pytest.mark.parametrize(
    "environ", [{"NOIBO_OFFLINE": "1"}, {"NOIBO_FETCH_HUB": "http://127.0.0.1:1"}]
)
def test_without_the_hub_the_catalogue_answers_and_says_so(
    home: Path, environ: dict[str, str]
) -> None:
    told = run_noibo("search", "vistral", home=home, **environ)
    assert told.returncode == 0
    assert "vistral" in told.stdout
    assert "the hub was not asked" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_a_search_of_the_catalogue_alone_asks_nobody(home: Path) -> None:
    told = run_noibo("search", "vistral", "--catalogue-only", home=home)
    assert (told.returncode, told.stderr) == (0, "")
    assert not (home / "egress.jsonl").exists()


def test_a_search_that_finds_nothing_says_so(home: Path) -> None:
    told = run_noibo("search", "xyzzy", "--offline", home=home)
    assert told.returncode == 3
    assert "Nothing was found for 'xyzzy'" in told.stderr
