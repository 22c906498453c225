"""What tests of the service stand on: none of the user's variables, and models made of nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from noibo.engines import lookup
from noibo.engines.engine import Model
from noibo.llm_service import LLMService
from noibo.settings import Llm, keys
from tests.modelstore.gguf_builder import STRING, U32, Gguf

FILE_TYPES = {"F16": 1, "Q4_1": 3, "Q8_0": 7, "Q4_K_M": 15}


@pytest.fixture(autouse=True)
def plain_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is set."""
    for key in keys(Llm):
        monkeypatch.delenv(key.also, raising=False)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has the model `echo` do what a script says: see `engines/echo_process.py`."""

    def scripted(**options: object) -> None:
        monkeypatch.setattr(lookup, "ECHO", Model("echo", "echo", options=options))

    return scripted


@pytest.fixture
def service() -> Iterator[LLMService]:
    """One that echoes."""
    with LLMService("echo") as made:
        yield made


@pytest.fixture
async def loaded(service: LLMService) -> AsyncIterator[LLMService]:
    await service.load_model()
    yield service


def small_gguf(path: Path, quantisation: str, name: str = "small") -> Path:
    """A file that says it is a model in that quantisation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = (
        Gguf()
        .key("general.architecture", STRING, "llama")
        .key("general.name", STRING, name)
        .key("general.file_type", U32, FILE_TYPES[quantisation])
        .key("llama.context_length", U32, 2048)
        .tensor("token_embd.weight", (32, 64), 0)
    )
    path.write_bytes(made.bytes())
    return path
