"""A class of one's own on the service, and what its attributes say."""

from __future__ import annotations

import pytest

from noibo.engines.worker import Worker
from noibo.llm_service import LLMService

pytestmark = pytest.mark.anyio


class Own(LLMService):
    """As the seed's class: its `__init__` calls no other."""

    def __init__(self, model_path: str = "models/llm") -> None:
        self.model_path = model_path
        self.max_length = 2048
        self.load_in_8bit = True


def test_a_class_of_ones_own_need_not_call_its_parent() -> None:
    with Own("echo") as own, Own() as other:
        assert (own.model_path, own.max_length, own.load_in_8bit) == ("echo", 2048, True)
        assert own.generate_answer("Hello") == "Hello"
        assert other.model_path == "models/llm"
        assert not other.is_loaded


async def test_the_window_is_what_a_load_would_ask_for_and_then_what_it_got(
    service: LLMService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (service.max_length, service.get_model_info()["max_length"]) == (4096, 4096)
    monkeypatch.setenv("NOIBO_ENGINE_CTX_SIZE", "1024")
    assert LLMService("echo").max_length == 1024
    monkeypatch.setenv("MAX_LENGTH", "512")
    assert LLMService("echo").max_length == 512
    await service.load_model()
    monkeypatch.setattr(Worker, "window", 256)
    assert (service.max_length, service.get_model_info()["max_length"]) == (256, 256)
    service.max_length = 2048  # for the next load
    assert (service.max_length, service.get_model_info()["max_length"]) == (2048, 256)
