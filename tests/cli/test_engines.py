"""What doctor and the list of engines say of programs elsewhere, each looked at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from noibo.assembly import open_engines
from noibo.cli.doctor_checks import Level
from noibo.cli.doctor_elsewhere import elsewhere
from noibo.engines.ollama.adapter import Ollama
from noibo.engines.remote import health
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.health import look
from noibo.settings import load
from tests.engines.elsewhere import Asked, reached, whole


def found(home: Path, text: str) -> list[tuple[Level, str]]:
    home.mkdir(exist_ok=True)
    (home / "noibo.toml").write_text(text)
    tree = load(environ={"NOIBO_HOME": str(home)})
    return [(one.level, one.text) for one in elsewhere(tree)]


def test_a_server_that_is_not_there_and_a_use_that_leads_nowhere_are_warnings(home: Path) -> None:
    said = found(
        home,
        '[models.gone]\nengine = "remote"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[uses.chat]\nmodel = "nowhere"\n[uses.code]\nmodel = "echo"',
    )
    assert [level for level, _ in said] == [Level.WARNING] * 2
    assert "gone at http://127.0.0.1:9/v1: nobody is there" in said[0][1]
    assert "use:chat" in said[1][1]


def test_where_nothing_is_elsewhere_nothing_is_looked_at(home: Path) -> None:
    assert found(home, "") == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"data": [{"id": "near"}, {"id": "b"}]}, (True, "2 models")),
        (200, {"data": [{"id": "b"}]}, (True, "1 model, near not among them")),
        (200, b"<html>", (True, "answers, and lists no models")),
        (401, {}, (False, "refuses noibo's key (status 401)")),
        (500, {}, (False, "answers with status 500")),
        (404, {}, (False, "answers with status 404")),  # base_url is another than its own
        (429, {}, (True, "answers with status 429")),
    ],
)
async def test_a_look_is_one_light_request(
    status: int, body: Any, expected: tuple[bool, str]
) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(status, body))

    async with reached(answer, Remote, api_key="sk") as (there, up):
        reach = up.worker.reach
        assert reach is not None
        assert await look(up._session, reach) == expected
        (asked,) = there.asked
    assert (asked.method, asked.path) == ("GET", "/v1/models")
    assert asked.headers["Authorization"] == "Bearer sk"


@pytest.mark.anyio
async def test_ollamas_models_are_known_with_and_without_a_tag() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(200, {"models": [{"name": "near:latest"}]}))

    async with reached(answer, Ollama) as (there, up):
        assert up.worker.reach is not None
        assert await look(up._session, up.worker.reach) == (True, "1 model")
        assert there.paths() == ["/api/tags"]


@pytest.mark.anyio
async def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.1)

    async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with reached(hang) as (_, up):
        assert up.worker.reach is not None
        answers, said = await look(up._session, up.worker.reach)
    assert (answers, said) == (False, "says nothing within 0.1 s")


def test_every_engine_is_known_by_its_name(home: Path) -> None:
    engines = open_engines(load(environ={"NOIBO_HOME": str(home)}))
    assert all(name == engine.name for name, engine in engines.items())
