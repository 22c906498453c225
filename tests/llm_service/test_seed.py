"""The fifth seed's code runs as it stands: no server, no network, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import marked
from tests.llm_service import seed_code
from tests.llm_service.test_environment import SEED
from tests.running import clean_environment, run_noibo, until

RUNNER = Path(__file__).with_name("seed_runner.py")
# So that a small model says no more than there is time for: the code's own limits stay in it.
HELLO = "from noibo.llm_service import llm_service\n"
SHORT = HELLO + 'llm_service.update_generation_config(stop=[".", "\\n", ","])\n'
RESULTS = ("answer", "answer", "code", "translation")  # what each use case calls its own


def run(code: str, home: Path, **environ: str) -> str:
    """What it prints. Fails with its errors, and where it says anything else."""
    said, noise = outputs(code, home, **environ)
    assert not noise.strip(), noise
    return said


def outputs(code: str, home: Path, **environ: str) -> tuple[str, str]:
    mark = f"{os.environ['PATH']}{os.pathsep}{home / 'mark'}"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(RUNNER)],
        env=clean_environment(home) | {"PATH": mark, "NOIBO_ENGINE_THREADS": "1"} | environ,
        input=code,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    until(lambda: not marked(str(home / "mark")), "nothing is left of it", patience=20)
    return done.stdout, done.stderr


@pytest.mark.shared
def test_it_is_the_seeds_code_but_for_the_import(shared: Path) -> None:
    seeds = [path.read_text(encoding="utf-8") for path in (shared.parent / "seeds").glob("*.md")]
    (seed,) = [text for text in seeds if "optimize_for_gpu" in text]
    for block in seed_code.BLOCKS:
        assert block.replace(*reversed(seed_code.IMPORT)) in seed
    for advice in seed_code.ADVICE:
        assert advice in seed


def test_its_basic_and_its_advanced_usage(home: Path) -> None:
    said = run(seed_code.BASIC + seed_code.ADVANCED, home, LLM_MODEL_PATH="echo")
    assert "GPU: none" in said
    assert "Memory: 0.0 GB" in said
    assert "Câu hỏi" in said


def test_its_class_on_noibos_own_needs_no_more(home: Path) -> None:
    """As it stands: its `__init__` calls no other."""
    own = "from noibo.llm_service import LLMService as Base\n" + seed_code.CLASS.replace(
        "class LLMService:", "class LLMService(Base):"
    )
    use = """
service = LLMService("echo")
print(service.model_path, service.max_length, service.use_quantization)
print(service.load_in_8bit, service.load_in_4bit, service.get_model_info()["max_length"])
print(service.generate_answer("Xin chào"))
service.close()
"""
    said = run(own + use, home).splitlines()
    assert said == ["echo 4096 True", "True False 4096", "Xin chào"]


@pytest.mark.heavy
def test_its_script(home: Path) -> None:
    assert run(seed_code.SCRIPT, home, LLM_MODEL_PATH="echo") == "Answer: Hello world\n"


@pytest.mark.heavy
def test_its_four_use_cases_load_by_themselves(home: Path) -> None:
    """The echo says what it was asked: question and context of each."""
    parts = zip(seed_code.USE_CASES, RESULTS, strict=True)
    code = HELLO + "".join(f"{case}\nprint('said', repr({name}))\n" for case, name in parts)
    told = run(code, home, LLM_MODEL_PATH="echo").splitlines()
    asked = (
        ("What is the capital of Vietnam?", "Hanoi is the capital of Vietnam."),
        ("Nội dung chính của tài liệu là gì?", "Thành phố nằm bên sông Hồng."),
        ("Viết function Python để sort array", "Python programming best practices"),
        ("Dịch sang tiếng Anh: Xin chào", "Translation task"),
    )
    for said, (question, context) in zip(told, asked, strict=True):
        assert said.startswith("said ")
        assert question in said
        assert context in said


@pytest.mark.heavy
def test_with_its_debug_mode_no_prompt_is_logged(home: Path) -> None:
    said, logged = outputs(seed_code.DEBUG + seed_code.SCRIPT, home, LLM_MODEL_PATH="echo")
    assert "worker echo" in logged
    assert "Hello world" in said
    assert "Hello world" not in logged


@pytest.mark.heavy
def test_all_of_it_on_a_real_model_in_the_folder_it_names(
    home: Path, tmp_path: Path, smollm2_gguf: Path
) -> None:
    folder = tmp_path / "models" / "llm"
    folder.mkdir(parents=True)
    (folder / "SmolLM2-135M-Instruct-Q4_1.gguf").symlink_to(smollm2_gguf)
    results = ("answer", "answer", *RESULTS)
    blocks = (SHORT + seed_code.BASIC, seed_code.ADVANCED, *seed_code.USE_CASES)
    code = "".join(
        f"{block}\nprint('said', {name}.taken.tokens, len({name}))\n"
        for block, name in zip(blocks, results, strict=True)
    )
    said = run(code, home, LLM_MODEL_PATH=str(folder), MAX_LENGTH="2048")
    told = [line.split()[1:] for line in said.splitlines() if line.startswith("said ")]
    assert len(told) == len(results)
    assert all(int(tokens) > 0 for tokens, _ in told)
    assert sum(int(length) > 0 for _, length in told) > 3  # one may begin with what ends it


@pytest.mark.heavy
def test_the_seeds_own_environment_on_a_real_model(home: Path, model_store: Path) -> None:
    environ = SEED | {
        "LLM_MODEL_PATH": "smollm2:135m",
        "DEFAULT_MAX_TOKENS": "20",
        "NOIBO_STORE_PATH": str(model_store),
    }
    said = run(seed_code.SCRIPT, home, **environ)
    assert len(said) > len("Answer: \n")


@pytest.mark.heavy
def test_its_own_environment_and_its_two_scripts_need_nothing_else(
    home: Path, tmp_path: Path, smollm2_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its variables as it stands, and nothing in `models/llm` at first."""
    monkeypatch.chdir(tmp_path)
    environ = SEED | {"NOIBO_DEFAULT_MODEL": "tiny:1", "NOIBO_OFFLINE": "1"}
    assert run_noibo("add", str(smollm2_gguf), "--name", "tiny:1", home=home).returncode == 0
    done = run_noibo("llm", "setup", home=home, **environ)
    assert done.returncode == 0, done.stderr
    assert "goes before" not in done.stdout
    short = {"NOIBO_ENGINE_THREADS": "1"}
    tried = run_noibo("llm", "test", "--max-tokens", "8", home=home, **environ, **short)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    said = run(seed_code.SCRIPT, home, **environ | {"DEFAULT_MAX_TOKENS": "20"})
    assert len(said) > len("Answer: \n")
