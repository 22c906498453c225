"""`noibo engines install` and `remove` as programs, with the real pip and an index on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.engines.environments.environment import Environments
from tests.engines.environments.wheels import ANSWERS, NO_GPU, Index, pip_alone, running

FILE = "xllamacpp-2099.1-py3-none-any.whl"


@pytest.fixture
def index() -> Iterator[Index]:
    with running(Index()) as index:
        assert index.add("xllamacpp", "2099.1", ANSWERS + NO_GPU) == FILE
        yield index


def command(index: Index, *words: str, **more: str) -> subprocess.Popen[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    own = {"NOIBO_FETCH_ENGINE_INDEX": f"{index.url}/whl/{{build}}", "NOIBO_SERVER_PORT": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "noibo", "engines", *words],
        env={**plain, **pip_alone(index), **own, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_cannot_be_installed_says_why_and_what_to_do(index: Index, home: Path) -> None:
    process = command(index, "install", "vulcan")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "Builds: cuda, rocm, vulkan" in said
    assert index.asked == []


@pytest.mark.heavy
def test_install_and_remove(index: Index, home: Path, model_store: Path) -> None:
    process = command(index, "install", "vulkan", "--anyway", NOIBO_STORE_PATH=str(model_store))
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "vulkan: xllamacpp 2099.1 (vulkan) is installed, and has answered." in said
    assert "It sees no GPU, so it is not used" in said
    lines = told.splitlines()
    assert any(line.startswith(f"Downloading {FILE}") for line in lines)
    assert lines[-1] == "Asking for a first answer of xllamacpp 2099.1"
    (found,) = Environments(home).all()
    assert found.name == "vulkan"
    process = command(index, "remove", "vulkan")
    assert "Removed vulkan: xllamacpp 2099.1 (vulkan)" in process.communicate(timeout=60)[0]
    assert Environments(home).all() == []
    assert list((home / "engines").iterdir()) == []
    process = command(index, "remove", "vllm")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert "vllm is not installed" in said


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_pip_and_leaves_nothing(
    index: Index, home: Path, model_store: Path, number: signal.Signals
) -> None:
    index.held.add(FILE)
    process = command(index, "install", "vulkan", "--anyway", NOIBO_STORE_PATH=str(model_store))
    assert index.waits.wait(60)  # pip is in the middle of it
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]  # pip holds no pipe any more
    assert process.returncode == 130
    assert "Stopped. Nothing of it is left" in told
    assert list((home / "engines").iterdir()) == []


@pytest.mark.heavy
def test_offline_refuses_with_the_next_step(index: Index, home: Path, model_store: Path) -> None:
    process = command(
        index,
        *("install", "vulkan", "--anyway"),
        NOIBO_STORE_PATH=str(model_store),
        NOIBO_OFFLINE="1",
    )
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 4
    assert "Set offline = false" in told
    assert index.asked == []
