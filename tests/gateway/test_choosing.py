"""What is remembered of who answered, for the next turn of its conversation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from noibo.gateway.access.identity import now
from noibo.gateway.routed.choosing import Choice, Chooser
from noibo.gateway.routed.virtual import Virtual
from noibo.routing.virtual import virtual_models
from noibo.settings import load
from tests.routing.test_stickiness import plan

TURNS = [{"role": "user", "content": "Is it so?"}]
NEXT = [*TURNS, {"role": "assistant", "content": "No."}, {"role": "user", "content": "Why?"}]


@pytest.fixture
def virtual(tmp_path: Path) -> Virtual:
    return Virtual.of(load(environ={"NOIBO_HOME": str(tmp_path)}))


@pytest.fixture
def chooser(tmp_path: Path, virtual: Virtual) -> Chooser:
    services: Any = SimpleNamespace(settings=SimpleNamespace(home=tmp_path))
    return Chooser(services, virtual)


@pytest.mark.parametrize("unfit", [True, False])
def test_that_an_answer_was_not_good_is_not_forgotten_when_it_is_given(
    tmp_path: Path, chooser: Chooser, virtual: Virtual, unfit: bool
) -> None:
    auto = virtual_models(load(environ={"NOIBO_HOME": str(tmp_path)}))["auto"]
    choice = Choice(auto, plan(0.5, None), {"messages": TURNS})
    tried = [("small", "unfit"), ("mini", "failed")] if unfit else []
    if unfit:
        chooser.remember(choice, "small", unfit=True)
    record: Any = SimpleNamespace(id="req_1", journey=None, reasons=())
    chooser.heard(record, choice, "small", tried, [])
    found = virtual.conversations.recall(now().owner, NEXT)
    assert found is not None
    assert (found.model, found.unfit) == ("small", unfit)
    assert record.reasons
