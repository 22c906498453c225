"""An index that a recipe adds is asked only where somebody answers there."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from noibo.egress import Door
from noibo.engines.environments.beside import BESIDE, without_silent
from noibo.engines.environments.recipe import Around, recipe
from noibo.modelstore.index.pip_settings import PipSettings
from tests.engines.environments.wheels import Index, running, wheel


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


def test_an_index_that_answers_is_asked(door: Door) -> None:
    with running(Index()) as index:
        index.wheels["torch-2.13.0-py3-none-any.whl"] = wheel("torch", "2.13.0", "")
        told = replace(recipe("vllm", Around()), options=("--pre", BESIDE, f"{index.url}/whl/cpu"))
        assert without_silent(told, door, PipSettings()) == (told, "")
        assert index.asked == ["/whl/cpu/torch/"]


@pytest.mark.parametrize("answers", [False, True])
def test_one_where_nobody_answers_or_that_has_no_torch_is_left_out(
    door: Door, *, answers: bool
) -> None:
    with running(Index()) as index, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"{index.url}/none" if answers else f"http://127.0.0.1:{closed.getsockname()[1]}"
        told = replace(recipe("vllm", Around()), options=("--pre", BESIDE, url, "--no-deps"))
        found, silent = without_silent(told, door, PipSettings(retries=5))
        assert (found.options, silent) == (("--pre", "--no-deps"), url)


def test_a_recipe_that_adds_none_is_left_alone(door: Door) -> None:
    told = recipe("vllm", Around(own_index=True))
    assert without_silent(told, door, PipSettings()) == (told, "")
