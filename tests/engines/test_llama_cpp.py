"""The real engine in a real worker, without a server around it."""

from __future__ import annotations

import dataclasses
import json
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed, Verb
from noibo.engines.llama_cpp.adapter import LlamaCpp, context_size
from noibo.engines.memory.book import Book
from noibo.engines.memory.size import Size
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.errors import NotSupported
from noibo.modelstore.offer import Defaults
from tests.modelstore.gguf_builder import F32, STRING, Gguf

pytestmark = pytest.mark.anyio
LIMITS = settings.Engine(ctx_size=1024, parallel=2)
SIZE = Size(1024, 2)


def supervised(folder: Path) -> Supervisor:
    tree = settings.Settings(engine=LIMITS, home=folder)
    tuning, book = Tuning(folder / "tuning.json"), Book(folder / "memory.json")
    return Supervisor({"llama_cpp": LlamaCpp()}, tree, tuning, book)


@pytest.fixture
async def upstream(smollm2_gguf: Path, tmp_path: Path) -> AsyncIterator[Upstream]:
    supervisor = supervised(tmp_path)
    claim = Claim(Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192))
    async with new_session() as session, supervisor.lease(claim) as worker:
        yield Upstream(worker, session)
    await supervisor.close()


def fields(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}


async def answer(upstream: Upstream, path: str, **values: Any) -> dict[str, Any]:
    async with upstream.generate(path, fields(**values)) as response:
        assert response.status == 200
        found: dict[str, Any] = json.loads(await response.read())
        return found


async def test_usage_counts_what_the_tokenizer_counts(upstream: Upstream) -> None:
    for prompt in ("The sky is blue.", "Trời xanh và nắng vàng ở Hà Nội.", "x = [1, 2]\n"):
        # The likeliest tokens: text drawn by chance need not be cut into the same tokens again.
        asked = {"prompt": prompt, "max_tokens": 5, "temperature": 0, "logprobs": 1}
        found = await answer(upstream, "/v1/completions", **asked)
        assert found["usage"]["prompt_tokens"] == len(await upstream.tokenise(prompt))
        text = found["choices"][0]["text"]
        assert found["usage"]["completion_tokens"] == 5
        assert len(found["choices"][0]["logprobs"]["content"]) == 5
        assert abs(len(await upstream.tokenise(text, special=False)) - 5) <= 1  # cut at the end


async def test_a_leave_frees_the_slot(upstream: Upstream) -> None:
    endless = fields(prompt="Once", max_tokens=900, ignore_eos=True, stream=True)
    async with upstream.generate("/v1/completions", endless) as response:
        await response.piece()
        assert await upstream.busy_slots() == 1
    while await upstream.busy_slots() != 0:
        pass


def test_the_context_is_what_was_asked_or_what_was_trained_bounded() -> None:
    model = Model("m", "llama_cpp", trained_context=2048)
    assert context_size(model, settings.Engine()) == 2048
    assert context_size(model, settings.Engine(ctx_size=512)) == 512
    assert context_size(Model("m", "llama_cpp", trained_context=131072), settings.Engine()) == 4096


def test_the_batch_follows_the_measured_speed() -> None:
    model = Model("m", "llama_cpp", parameters=7_000_000_000)
    slow = LlamaCpp().launch(model, SIZE, LIMITS, Speed(20.0, measure=False))
    fast = LlamaCpp().launch(model, SIZE, LIMITS, Speed(2000.0, measure=False))
    assert slow.placement["batch"] == 8
    assert fast.placement["batch"] == 1024


def test_every_verb_is_spoken_of() -> None:
    assert set(LlamaCpp().verbs) == set(Verb)


def test_a_request_is_always_streamed_and_can_be_cancelled() -> None:
    body = fields(stream=False, stream_options={"include_usage": False})
    LlamaCpp().prepare(body, streamed=False)
    assert bytes(body["stream"]) == b"true"
    assert bytes(body["return_progress"]) == b"true"
    assert json.loads(bytes(body["stream_options"])) == {"include_usage": True}
    asked = fields(stream=True, stream_options={"include_usage": False})
    LlamaCpp().prepare(asked, streamed=True)
    assert json.loads(bytes(asked["stream_options"])) == {"include_usage": False}


def test_the_context_that_came_with_a_model_counts_up_to_what_it_was_trained_for() -> None:
    for num_ctx, context in ((1024, 1024), (8192, 2048), ("x", 2048), (0, 2048)):
        own = Defaults(parameters={"num_ctx": num_ctx})
        model = Model("m", "llama_cpp", trained_context=2048, defaults=own)
        assert context_size(model, settings.Engine()) == context
        assert context_size(model, settings.Engine(ctx_size=512)) == 512


def test_a_checkpoint_is_refused_with_what_to_do() -> None:
    model = Model("m", "llama_cpp", Path("/m"), format="safetensors")
    with pytest.raises(NotSupported, match="does not run") as caught:
        LlamaCpp().launch(model, SIZE, LIMITS, Speed())
    assert "noibo search m" in caught.value.next_step


@pytest.mark.heavy
async def test_a_template_that_the_engine_cannot_read_gives_way_to_the_files_own(
    smollm2_gguf: Path, tmp_path: Path
) -> None:
    broken = Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192, template="{% for m in %}{{")
    supervisor = supervised(tmp_path)
    async with new_session() as session, supervisor.lease(Claim(broken)) as worker:
        hello = [{"role": "user", "content": "Hi"}]
        prompt = await answer(Upstream(worker, session), "/apply-template", messages=hello)
    await supervisor.close()
    assert "<|im_start|>user\nHi<|im_end|>" in prompt["prompt"]


def lora(path: Path) -> Path:
    """An adapter of SmolLM2-135M that turns every query of the first layer round."""
    width, rank = 576, 2
    adapter = Gguf()
    for key, kind, value in (
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "adapter"),
        ("adapter.type", STRING, "lora"),
        ("adapter.lora.alpha", F32, 64.0),
    ):
        adapter.key(key, kind, value)
    adapter.tensor("blk.0.attn_q.weight.lora_a", (width, rank), 0)
    adapter.tensor("blk.0.attn_q.weight.lora_b", (rank, width), 0)
    adapter.data = numbers(len(adapter.data))
    path.write_bytes(adapter.bytes())
    return path


def numbers(size: int) -> bytes:
    """Numbers between -1 and 1, always the same."""
    chance = random.Random(1)
    return b"".join(struct.pack("<f", chance.uniform(-1, 1)) for _ in range(size // 4))


@pytest.mark.heavy
async def test_what_came_with_a_model_reaches_the_engine(
    smollm2_gguf: Path, tmp_path: Path
) -> None:
    plain = Model("m", "llama_cpp", smollm2_gguf, 134_515_008, 8192)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<answer>"
    changed = dataclasses.replace(
        plain, name="n", template=template, adapters=(lora(tmp_path / "lora.gguf"),)
    )
    supervisor = supervised(tmp_path)
    texts = []
    async with new_session() as session:
        for model in (plain, changed):
            async with supervisor.lease(Claim(model)) as worker:
                upstream = Upstream(worker, session)
                asked = {"prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
                found = await answer(upstream, "/v1/completions", **asked)
                texts.append(found["choices"][0]["text"])
                hello = [{"role": "user", "content": "Hi"}]
                prompt = await answer(upstream, "/apply-template", messages=hello)
    await supervisor.close()
    assert prompt["prompt"] == "<user>Hi<answer>"
    assert texts[0] != texts[1]


def test_a_worker_may_read_every_part_of_its_model_and_nothing_else(tmp_path: Path) -> None:
    parts = tuple(tmp_path / f"large-0000{n}-of-00003.gguf" for n in (1, 2, 3))
    projector, adapter = tmp_path / "mmproj.gguf", tmp_path / "lora.gguf"
    model = Model("m", "llama_cpp", path=parts[0], projector=projector, adapters=(adapter,))
    launch = LlamaCpp().launch(model, Size(512, 1), settings.Engine(), Speed())
    assert launch.reads == (*parts, projector, adapter)
