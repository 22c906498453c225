"""A checkpoint in the store is found with the engine that runs it, and as it is to be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noibo.engines.abilities import Abilities
from noibo.engines.hosted.folder import FOLDER
from noibo.engines.lookup import ModelLookup
from noibo.engines.thinking import Thinking
from noibo.errors import SettingsError
from noibo.model_settings import ModelSettings
from noibo.modelstore.store import Store
from noibo.settings import load
from tests.engines.hosted.test_hosted_adapters import ENCODER, WRITER

pytestmark = pytest.mark.anyio


def checkpoint(path: Path, config: object) -> Path:
    """A folder with one small tensor."""
    path.mkdir(parents=True)
    numbers = np.zeros(4, "<f2").tobytes()
    header = json.dumps({"w": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    said = len(header).to_bytes(8, "little") + header + numbers
    (path / "model.safetensors").write_bytes(said)
    (path / "config.json").write_text(json.dumps(config))
    (path / "chat_template.jinja").write_text("{% if enable_thinking %}<think>{% endif %}")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One model that writes, one that embeds."""
    found = Store(tmp_path / "store")
    found.add(checkpoint(tmp_path / "writer", WRITER))
    found.add(checkpoint(tmp_path / "encoder", ENCODER))
    return found


async def test_each_checkpoint_has_its_engine(store: Store) -> None:
    lookup = ModelLookup(store, "", "llama_cpp")
    writer, encoder = [await lookup.resolve(name) for name in ("writer", "encoder")]
    assert (writer.engine, encoder.engine) == ("transformers", "openvino")
    assert Thinking.of(writer).has_switch
    assert Abilities.of(writer).in_ollamas_words()[0] == "completion"
    assert Abilities.of(encoder).in_ollamas_words() == ["embedding"]


async def test_what_is_set_for_a_model_wins_and_goes_along(store: Store) -> None:
    models = {
        "writer:latest": ModelSettings(load_in="nf4", dtype="float32"),
        "encoder:latest": ModelSettings(engine="transformers"),
    }
    lookup = ModelLookup(store, "", "llama_cpp", models=models)
    writer, encoder = [await lookup.resolve(name) for name in ("writer", "encoder")]
    assert (writer.options["load_in"], writer.options["dtype"]) == ("nf4", "float32")
    assert writer.options[FOLDER].layers == 30  # read with it, not while others wait
    assert encoder.engine == "transformers"


def test_a_way_to_round_that_there_is_not_is_an_error(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "noibo.toml").write_text('[models."writer"]\nload_in = "3bit"\n')
    with pytest.raises(SettingsError, match="load_in"):
        load()
