from __future__ import annotations

from pathlib import Path

import pytest

from noibo.errors import SettingsError
from noibo.model_settings import FIRST_THERE
from noibo.routing.strategy import Limits, Side
from noibo.routing.virtual import declared_candidate, is_local, virtual_models
from noibo.settings import Settings, load

KEY = {"OPENROUTER_API_KEY": "sk-or-v1-x"}
SEED = {"LLM_STRATEGY": "hybrid", "LOCAL_LLM_URL": "http://local-llm:8000/v1", **KEY}


def settings(home: Path, text: str = "", **environ: str) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    (home / "noibo.toml").write_text(text)
    return load(environ={"NOIBO_HOME": str(home), **environ})


def test_by_default_auto_is_the_default_model_and_nothing_leaves(home: Path) -> None:
    auto = virtual_models(settings(home))["auto"]
    assert (auto.strategy.kind, auto.candidates) == ("local_only", ("smollm2:135m",))


def test_a_key_in_the_environment_alone_opens_nothing(home: Path) -> None:
    tree = settings(home, **KEY)
    assert virtual_models(tree)["auto"].candidates == ("smollm2:135m",)
    assert not tree.models


def test_the_seeds_three_variables_make_two_models(home: Path) -> None:
    tree = settings(home, **SEED)
    auto = virtual_models(tree)["auto"]
    assert auto.strategy.kind == "hybrid"
    assert auto.candidates == ("local", "openai/gpt-4o-mini")
    local, api = (tree.models[name] for name in auto.candidates)
    assert (local.base_url, local.model, local.trusted) == (
        "http://local-llm:8000/v1",
        FIRST_THERE,
        True,
    )
    assert (api.base_url, api.api_key) == ("https://openrouter.ai/api/v1", "sk-or-v1-x")
    assert not api.trusted


def test_a_local_address_beyond_the_network_is_not_trusted(home: Path) -> None:
    tree = settings(home, **{**SEED, "LOCAL_LLM_URL": "https://api.example.com/v1"})
    assert not tree.models["local"].trusted
    assert not is_local(tree.models["local"], outside=True)


def test_the_key_is_told_nowhere(home: Path) -> None:
    tree = settings(home, **SEED)
    assert "sk-or" not in repr(tree)


def test_a_table_says_what_is_different(home: Path) -> None:
    text = """
    [routing]
    strategy = "hybrid"
    simple_threshold = 0.8
    max_api_calls_per_hour = 100
    [routing.local]
    max_tokens = 2048
    temperature = 0.2
    [virtual."clever"]
    candidates = ["qwen3:8b", "gpt"]
    strategy = "cheapest_that_meets"
    quality = 0.9
    max_cost = 0.01
    local = { max_tokens = 100 }
    [models."gpt"]
    engine = "remote"
    base_url = "https://api.example.com/v1"
    quality = { all = 0.9, code = 0.7 }
    abilities = ["tools", "vision"]
    """
    tree = settings(home, text)
    found = virtual_models(tree)
    clever = found["clever"]
    assert clever.candidates == ("qwen3:8b", "gpt")
    assert (clever.strategy.kind, clever.strategy.quality) == ("cheapest_that_meets", 0.9)
    assert clever.strategy.simple_threshold == 0.8
    assert clever.strategy.limits == Limits(100, 0.01, None)
    assert clever.strategy.local == Side(100, 0.2)
    assert found["auto"].strategy.local == Side(2048, 0.2)
    gpt = declared_candidate("gpt", tree.models["gpt"], local=False)
    assert (gpt.measured("code"), gpt.measured("chat")) == (0.7, 0.9)
    assert gpt.abilities == {"tools", "vision"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[virtual."a"]\nstrategy = "clever"\n', "strategy"),
        ('[virtual."a"]\ncandidate = ["b"]\n', "virtual.NAME.candidate"),
        ('[virtual."a"]\ncandidates = ["auto"]\n', "virtual model itself"),
        ('[virtual."a"]\ncandidates = ["b"]\n[virtual."b"]\n', "virtual model itself"),
        ('[aliases]\na = "b"\n[virtual."a"]\n', "a name already"),
        ('[virtual."a"]\nsimple_threshold = 0.3\ncomplex_threshold = 0.6\n', "is over"),
        ('[models."m"]\nquality = { all = 1.5 }\n', "quality"),
        ('[models."m"]\nabilities = ["flight"]\n', "abilities"),
    ],
)
def test_a_table_that_cannot_be_is_refused(home: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(home, text)


def test_thresholds_of_a_table_are_held_against_the_usual_ones(home: Path) -> None:
    tree = settings(home, '[virtual."a"]\nsimple_threshold = 0.3\n')
    with pytest.raises(SettingsError, match="is over"):
        virtual_models(tree)
