"""What gives memory back, and what is said where there is none."""

from __future__ import annotations

import gc
import weakref

import pytest

from noibo.errors import NoRoom
from noibo.llm_service import LLMService
from noibo.llm_service.home import Home
from tests.llm_service.test_service import Echo, eventually, room_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker counts as one that has grown."""
    monkeypatch.setattr("noibo.llm_service.home.LEAST_CLEARED", -(2**40))


@pytest.mark.usefixtures("grown")
async def test_a_clear_does_not_wait_for_the_load_after_it(echo: Echo, service: LLMService) -> None:
    echo(start_delay_s=1)
    await service.load_model()
    service.clear_gpu_cache()
    assert not service.is_loaded
    await eventually(lambda: service.is_loaded)  # by itself


@pytest.mark.usefixtures("grown")
async def test_another_model_need_not_wait_for_what_was_cleared(
    echo: Echo, loaded: LLMService
) -> None:
    loaded.clear_gpu_cache()
    echo(text="of the other")
    await loaded.load_model()
    assert loaded.generate_answer("Hello") == "of the other"


@pytest.mark.usefixtures("grown")
async def test_a_clear_is_no_error_where_there_is_no_memory_to_load_it_again(
    loaded: LLMService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(home: Home) -> None:
        raise NoRoom("There is no room.")

    with monkeypatch.context() as patch:
        patch.setattr(Home, "ready", refuse)
        assert loaded.clear_gpu_cache() >= 0
        await eventually(lambda: "not loaded again: There is no room" in caplog.text)
        with pytest.raises(RuntimeError, match="out of memory"):  # as the seed looks for
            await loaded.generate_answer_async("Hello")
    assert loaded.generate_answer("still there") == "still there"


async def test_no_memory_to_load_is_what_torch_raises_for_it(
    echo: Echo, service: LLMService
) -> None:
    echo(start_fails="MemoryError")
    with pytest.raises(RuntimeError, match=r"\(out of memory\)"):
        await service.load_model()
    assert service.clear_gpu_cache() == 0


async def test_what_was_cleaned_up_is_let_go(loaded: LLMService) -> None:
    room = weakref.ref(room_of(loaded))
    await loaded.cleanup()

    def gone() -> bool:
        gc.collect()
        return room() is None

    await eventually(gone)
