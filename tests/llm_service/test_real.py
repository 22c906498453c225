"""The service on real weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noibo.errors import ContextExceeded
from noibo.llm_service import LLMService

pytestmark = [pytest.mark.heavy, pytest.mark.anyio]
LONG = "word " * 400


@pytest.fixture(scope="module")
def real(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMService]:
    """A window of 512 tokens, for one caller."""
    folder = tmp_path_factory.mktemp("của tôi")
    (folder / "SmolLM2-135M-Instruct-Q4_1.gguf").symlink_to(smollm2_gguf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOIBO_HOME", str(folder / "home"))
        patch.setenv("NOIBO_ENGINE_PARALLEL", "1")
        patch.setenv("NOIBO_ENGINE_THREADS", "1")  # two wait for each other where others run too
        patch.setenv("MAX_LENGTH", "512")
        with LLMService(folder) as service:
            service.update_generation_config(temperature=0, seed=1)
            asyncio.run(service.load_model())
            yield service


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


def busy(service: LLMService) -> bool:
    home = service._room.home if service._room else None
    return bool(home and home.worker and home.worker.leases)


async def test_it_answers_from_the_context(real: LLMService) -> None:
    answer = real.generate_answer(
        "What is the capital of France?", "Paris is the capital of France.", max_tokens=20
    )
    assert "Paris" in answer
    assert answer.taken.tokens <= 20
    assert answer.taken.prompt_tokens > 20


async def test_a_stream_says_what_the_whole_answer_says(real: LLMService) -> None:
    question = "Name three colours."
    stream = real.generate_answer_with_streaming(question, max_tokens=20)
    assert "".join([one async for one in stream]) == real.generate_answer(question, max_tokens=20)


async def test_what_is_told_of_it(real: LLMService) -> None:
    real.generate_answer("Count to ten.", max_tokens=8)
    info = real.get_model_info()
    assert (info["quantization"], info["device"], info["engine"]) == ("Q4_1", "cpu", "llama_cpp")
    assert info["parameters"] == 134_515_008
    assert (info["max_length"], info["trained_context"], info["parallel"]) == (512, 8192, 1)
    assert 0.01 < info["memory_allocated"] < 1.0  # pages that others have too count by share
    assert info["gpu_memory_allocated"] == 0.0
    assert info["tokens_per_second"] > 0


async def test_what_is_longer_than_the_window_is_refused_with_both_counts(
    real: LLMService,
) -> None:
    with pytest.raises(ContextExceeded) as caught:
        real.generate_answer("What is said?", LONG * 2)
    assert caught.value.window == 512
    assert caught.value.prompt > 800
    assert "question and context" in caught.value.message
    assert "MAX_LENGTH" in caught.value.next_step


async def test_an_answer_that_was_asked_for_and_does_not_fit_is_refused(real: LLMService) -> None:
    with pytest.raises(ContextExceeded, match="max_tokens can be"):
        real.generate_answer("What is said?", LONG, max_tokens=200)


async def test_a_limit_that_nobody_asked_for_gives_way_to_the_window(real: LLMService) -> None:
    real.update_generation_config(stop=["."])
    answer = real.generate_answer("What is said?", LONG)  # the settings' 1000 would not fit
    assert answer.taken.prompt_tokens + answer.taken.tokens <= 512
    real.update_generation_config(stop=())


async def test_leaving_while_the_prompt_is_read_frees_the_slot(real: LLMService) -> None:
    question = "Again, and otherwise. " + LONG
    task = asyncio.create_task(real.generate_answer_async(question))
    await eventually(lambda: busy(real))
    task.cancel()
    await eventually(lambda: not busy(real))
    assert real.generate_answer("Say hi.", max_tokens=3)


async def test_eight_bits_are_not_taken_in_silence(real: LLMService) -> None:
    said = real.optimize_for_gpu(load_in_8bit=True)
    assert "Q4_1" in said
    assert "noibo search SmolLM2-135M-Instruct" in said
    await real.load_model()
    assert real.get_model_info()["note"] == said
