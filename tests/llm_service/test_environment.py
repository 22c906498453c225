"""The variables of the fifth seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo import settings
from noibo.errors import InvalidRequest, SettingsError
from noibo.llm_service import LLMService
from noibo.llm_service.quantised import Wish

SEED = {
    "LLM_MODEL_PATH": "models/llm",
    "MAX_LENGTH": "4096",
    "USE_QUANTIZATION": "true",
    "LOAD_IN_8BIT": "true",
    "LOAD_IN_4BIT": "false",
    "DEFAULT_MAX_TOKENS": "1000",
    "DEFAULT_TEMPERATURE": "0.7",
    "DEFAULT_TOP_P": "0.9",
    "DEFAULT_TOP_K": "50",
}


def test_every_variable_of_the_seed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SEED.items():
        monkeypatch.setenv(name, value)
    tree = settings.load(plain=True)
    assert tree.llm == settings.Llm(
        model_path="models/llm",
        max_length=4096,
        use_quantization=True,
        load_in_8bit=True,
        load_in_4bit=False,
        max_tokens=1000,
        temperature=0.7,
        top_p=0.9,
        top_k=50,
    )
    assert {key.also for key in settings.keys(settings.Llm)} == set(SEED)
    assert tree.sources["llm.max_length"] == "MAX_LENGTH"


def test_a_server_does_not_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_LENGTH", "of another program")
    assert settings.load().llm.max_length == 0


def test_noibos_own_variable_wins_over_the_plain_one_and_that_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("[llm]\ntop_k = 1\nmax_tokens = 2\nmax_length = 3\n")
    monkeypatch.setenv("DEFAULT_TOP_K", "4")
    monkeypatch.setenv("DEFAULT_MAX_TOKENS", "5")
    monkeypatch.setenv("NOIBO_LLM_TOP_K", "6")
    llm = settings.load(plain=True).llm
    assert (llm.top_k, llm.max_tokens, llm.max_length) == (6, 5, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_LENGTH", "long"),
        ("MAX_LENGTH", "-1"),
        ("LOAD_IN_8BIT", "perhaps"),
        ("DEFAULT_MAX_TOKENS", "0"),
        ("DEFAULT_TEMPERATURE", "-1"),
        ("DEFAULT_TOP_P", "2"),
        ("DEFAULT_TOP_K", "1.5"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings.load(plain=True)
    assert f"from {name}" in caught.value.message


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL_PATH", "")
    monkeypatch.setenv("MAX_LENGTH", "")
    assert settings.load(plain=True).llm == settings.Llm()


def test_a_service_reads_them_when_it_is_first_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    service = LLMService()
    monkeypatch.setenv("LLM_MODEL_PATH", "some/model.gguf")
    monkeypatch.setenv("LOAD_IN_4BIT", "yes")
    assert service.model_path == "some/model.gguf"
    assert (service.load_in_8bit, service.load_in_4bit) == (False, True)
    assert LLMService("mine").model_path == "mine"


def test_a_bad_variable_is_told_by_the_first_call_and_not_by_the_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEFAULT_TOP_K", "many")
    service = LLMService("echo")
    with pytest.raises(SettingsError, match="DEFAULT_TOP_K"):
        service.generate_answer("Hello")


def test_what_the_seeds_class_has_can_be_set(tmp_path: Path) -> None:
    service = LLMService("models/llm")
    service.max_length = 2048
    service.model_path = str(tmp_path)
    tree = service._settings()
    assert (tree.llm.max_length, tree.llm.model_path) == (2048, str(tmp_path))
    service.load_in_8bit = True
    assert Wish.of(service._settings().llm).bits == 8
    service.load_in_8bit, service.load_in_4bit = False, True
    assert Wish.of(service._settings().llm).bits == 4
    service.use_quantization = False
    assert Wish.of(service._settings().llm).bits == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_length", "4096"),
        ("max_length", -1),
        ("max_length", True),
        ("use_quantization", "true"),
        ("load_in_8bit", 1),
        ("load_in_4bit", None),
        ("model_path", b"models"),
    ],
)
def test_a_value_that_cannot_be_set_is_refused_and_nothing_changes(
    name: str, value: object
) -> None:
    service = LLMService("models/llm")
    before = service._settings().llm
    with pytest.raises(InvalidRequest, match=name) as caught:
        setattr(service, name, value)
    assert caught.value.param == name
    assert service._settings().llm == before


def test_without_a_word_it_is_the_usual_folder_else_the_default_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert LLMService().model_path == settings.load().default_model
    (tmp_path / "models" / "llm").mkdir(parents=True)
    assert LLMService().model_path == str(Path("models/llm"))
