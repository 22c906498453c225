"""What models can do, by their headers and templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo.engines.abilities import Abilities
from noibo.engines.engine import Model
from noibo.modelstore.gguf.model_info import inspect_model
from tests.small_models import small_encoder, small_filler


def words(model: Model) -> list[str]:
    return Abilities.of(model).in_ollamas_words()


def test_a_template_says_what_a_chat_may_have() -> None:
    assert words(Model("a", "x", template="{{ messages }}")) == ["completion", "tools"]
    assert words(Model("a", "x", template="chatml")) == ["completion"]
    thinks = Model("a", "x", template="{{ messages }}{{ enable_thinking }}")
    assert words(thinks) == ["completion", "tools", "thinking"]
    sees = Model("a", "x", template="chatml", projector=Path("p.gguf"))
    assert words(sees) == ["completion", "vision"]


@pytest.mark.parametrize(
    ("pooling", "can"), [("mean", ["embedding"]), (None, ["embedding"]), ("rank", [])]
)
def test_an_encoder_gives_vectors_or_ranks(
    tmp_path: Path, pooling: str | None, can: list[str]
) -> None:
    path = small_encoder(ranks=pooling == "rank").write(tmp_path / "e.gguf", pooling)
    assert words(Model("a", "x", path=path, info=inspect_model(path))) == can


def test_one_with_tokens_for_a_gap_fills_it(tmp_path: Path) -> None:
    path = small_filler(tmp_path / "f.gguf")
    assert "insert" in words(Model("a", "x", path=path, info=inspect_model(path)))
