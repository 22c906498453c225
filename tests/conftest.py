"""What every test stands on: a home of its own, the real model, a real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from noibo.assembly import open_database
from noibo.database.database import Database
from noibo.settings import load
from tests.postgresql import running_postgresql
from tests.running import RunningServer, offline_suite

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
# Properties are tried without a clock: how long one takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
SHARED = Path(os.environ.get("NOIBO_SHARED") or ROOT.parent / "shared")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the shared data, the tests on it are not there."""
    if SHARED.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("shared")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A NOIBO_HOME of its own for each test, and none of the user's settings."""
    for name in [name for name in os.environ if name.startswith("NOIBO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOIBO_HOME", str(tmp_path / "home"))
    if offline_suite():
        monkeypatch.setenv("NOIBO_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data; only for tests marked `shared`."""
    return SHARED / "data"


@pytest.fixture(scope="session")
def model_store() -> Path:
    """A store that holds the default model, fetched once through noibo itself."""
    from noibo.assembly import open_puller
    from noibo.settings import load

    folder = CACHE / "models"
    environ = {"NOIBO_HOME": str(CACHE / "home"), "NOIBO_STORE_PATH": str(folder)}
    open_puller(load(environ=environ)).pull("smollm2:135m")
    return folder


@pytest.fixture(scope="session")
def smollm2_gguf(model_store: Path) -> Path:
    """The real model: SmolLM2-135M-Instruct, Q4_1."""
    from noibo.modelstore.store import Store

    return Store(model_store).get("smollm2:135m").path


@pytest.fixture(scope="session")
def real_server(
    model_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server with the real model, for all tests that do not harm it."""
    home = tmp_path_factory.mktemp("server") / "home"
    with RunningServer(
        home, NOIBO_STORE_PATH=str(model_store), NOIBO_ENGINE_CTX_SIZE="2048"
    ) as server:
        server.load("smollm2:135m")
        yield server


@pytest.fixture
def server(home: Path) -> Iterator[RunningServer]:
    """A server of its own for one test; it has no model but echo."""
    with RunningServer(home) as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    """Tests of coroutines run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.heavy)])
async def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """Each kind of database."""
    if request.param == "postgresql":
        monkeypatch.setenv("NOIBO_DATABASE_URL", request.getfixturevalue("postgresql"))
    opened = open_database(load())
    try:
        yield opened
    finally:
        await opened.close()
