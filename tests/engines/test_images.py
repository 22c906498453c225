"""Pictures through the real server into the real engine: its projector's weights are chance."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from noibo.modelstore.store import Store
from tests.engines.seeing import TOKENS, projector
from tests.engines.stocking import stock
from tests.running import RunningServer, run_noibo
from tests.wire.drawing import GIF, JPEG, WEBP, png, url

RED, BLUE = png(60, 40), png(60, 40, (0, 0, 255))
SEER, BLIND = "seer:1", "blind:1"


@pytest.fixture(scope="module")
def server(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with SmolLM2 twice: with a projector, and without."""
    folder = tmp_path_factory.mktemp("images")
    store = Store(folder / "store")
    stock(store, SEER, smollm2_gguf, projector=projector(folder / "mmproj.gguf"))
    stock(store, BLIND, smollm2_gguf)
    settings = {"NOIBO_STORE_PATH": str(store.folder), "NOIBO_ENGINE_CTX_SIZE": "1024"}
    with RunningServer(folder / "home", **settings, NOIBO_ENGINE_THREADS="1") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def image(data: bytes, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url(data, kind), **more}}


def ask(client: openai.OpenAI, *parts: Any, model: str = SEER) -> tuple[int, list[Any]]:
    """Prompt tokens, and the likeliest first tokens with their log-probabilities."""
    content = [{"type": "text", "text": "What is this?"}, *parts]
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],  # type: ignore[typeddict-item,misc,list-item]
        max_tokens=1,
        temperature=0,
        logprobs=True,
        top_logprobs=5,
    )
    assert answer.usage is not None
    assert answer.choices[0].logprobs is not None
    found = (answer.choices[0].logprobs.content or [])[0].top_logprobs
    return answer.usage.prompt_tokens, [(one.token, round(one.logprob, 3)) for one in found]


def test_a_picture_is_read_as_tokens_and_changes_the_answer(client: openai.OpenAI) -> None:
    bare, without = ask(client)
    tokens, red = ask(client, image(RED))
    assert tokens == bare + TOKENS
    assert ask(client, image(RED), image(BLUE))[0] == bare + 2 * TOKENS
    assert ask(client, image(BLUE))[1] != red
    assert without != red
    assert ask(client) == (bare, without)


def test_every_kind_is_read_whatever_it_is_called(client: openai.OpenAI) -> None:
    bare, _ = ask(client)
    for data in (JPEG, GIF):
        assert ask(client, image(data))[0] == bare + TOKENS


@pytest.mark.heavy
def test_detail_does_not_change_what_a_projector_makes_of_a_picture(client: openai.OpenAI) -> None:
    assert ask(client, image(RED, detail="low")) == ask(client, image(RED, detail="high"))


def test_a_stream_sees_too(client: openai.OpenAI) -> None:
    events = client.chat.completions.create(
        model=SEER,
        messages=[{"role": "user", "content": [image(RED)]}],  # type: ignore[typeddict-item,misc,list-item]
        max_tokens=4,
        stream=True,
        stream_options={"include_usage": True},
    )
    usage = [event.usage for event in events if event.usage]
    assert usage[-1].prompt_tokens > TOKENS


REFUSED = [
    (image(WEBP, "image/webp"), "WebP"),
    (image(png(30_000, 30_000, rows=1)), "30,000 × 30,000"),
    (image(b"<svg/>", "image/svg+xml"), "no PNG, JPEG or GIF"),
    (image(png(60, 40)[:-20]), "cut off"),
    (image(png(60, 40, rows=3)), "Failed to load image"),
    (image(png(0, 0)), "no pixels"),
    ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "not fetched"),
    ({"type": "image_url", "image_url": {"url": "file:///etc/hostname"}}, "not fetched"),
    ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "input_audio"),
    ({"type": "file", "file": {"file_id": "file-1"}}, "'file'"),
    ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}, "video_url"),
]


def test_what_cannot_be_seen_is_refused_and_the_worker_lives(
    server: RunningServer, client: openai.OpenAI
) -> None:
    ask(client)
    before = [process.pid for process in server.workers()]
    for part, reason in REFUSED:
        with pytest.raises(openai.BadRequestError, match=reason):
            ask(client, part)
    ask(client)
    assert [process.pid for process in server.workers()] == before


def test_a_model_without_a_projector_says_that_it_sees_nothing(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, image(RED), model=BLIND)
    assert caught.value.param == "messages[0].content[1]"
    assert "blind:1 sees no images" in str(caught.value)


@pytest.mark.heavy
def test_a_picture_is_seen_through_every_api(server: RunningServer) -> None:
    bare = base64.b64encode(RED).decode()
    source = {"type": "base64", "media_type": "image/png", "data": bare}
    text = {"role": "user", "content": "What is this?"}
    seen: Any = {"role": "user", "content": [{"type": "image", "source": source}]}
    asked = {"model": SEER, "max_tokens": 1}
    with httpx2.Client(base_url=server.url, timeout=100) as http:

        def ollama(**more: Any) -> int:
            fields = {"model": SEER, "stream": False, "options": {"num_predict": 1}}
            answer = http.post("/api/chat", json=fields | {"messages": [text | more]})
            return int(answer.json()["prompt_eval_count"])

        def anthropic(*messages: Any) -> int:
            answer = http.post("/v1/messages", json=asked | {"messages": messages})
            return int(answer.json()["usage"]["input_tokens"])

        assert ollama(images=[bare]) == ollama() + TOKENS
        assert anthropic(seen) > anthropic({"role": "user", "content": "."}) + TOKENS - 3


@pytest.mark.heavy
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 32_768), (6900, 7000)])
def test_pictures_of_strange_shapes_are_seen(client: openai.OpenAI, size: tuple[int, int]) -> None:
    assert ask(client, image(png(*size)))[0] == ask(client, image(RED))[0]


@pytest.mark.heavy
def test_what_the_worker_takes_with_a_projector_is_foreseen(
    server: RunningServer, client: openai.OpenAI
) -> None:
    for _ in range(3):
        ask(client, image(png(2000, 2000)), image(png(2000, 1999)))
    with server.client() as noibo:
        row = next(row for row in noibo.workers() if row.model == SEER)
    assert psutil.Process(row.pid).memory_info().rss < 1.3 * row.predicted_bytes


@pytest.mark.heavy
def test_a_projector_that_lies_beside_its_model_is_found_and_used(
    smollm2_gguf: Path, tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "models" / "seeing"
    folder.mkdir(parents=True)
    (folder / "seeing-135m-q4_1.gguf").symlink_to(smollm2_gguf)
    projector(folder / "mmproj-seeing-f32.gguf")
    done = run_noibo("import", str(folder), home=home)
    assert done.returncode == 0, done.stderr
    with (
        RunningServer(home, NOIBO_ENGINE_CTX_SIZE="1024") as running,
        openai.OpenAI(base_url=running.url + "/v1", api_key="any", max_retries=0) as client,
    ):
        name = next(one.id for one in client.models.list() if "seeing" in one.id)
        assert ask(client, image(RED), model=name)[0] == ask(client, model=name)[0] + TOKENS


def test_pictures_that_do_not_fit_are_refused_with_both_counts(client: openai.OpenAI) -> None:
    words = {"type": "text", "text": "word " * (1000 - 40 * TOKENS)}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, words, *[image(RED)] * 40)  # of which only the engine knows how many tokens
    assert caught.value.code == "context_length_exceeded"
    assert isinstance(caught.value.body, dict)
    assert 1024 <= caught.value.body["n_prompt_tokens"] < 1200
    assert caught.value.body["n_ctx"] == 1024
