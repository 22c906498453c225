from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from noibo.modelstore.store import Store
from tests.engines.stocking import stock
from tests.gateway.leaving.cloud import Cloud, Script
from tests.running import RunningServer
from tests.small_models import small_filler

TABLES = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 0

[models.keyed]
engine = "remote"
base_url = "{url}"
api_key = "keyring-of-the-house"
retries = 0

[models.own]
engine = "remote"
base_url = "{url}"
trusted = true
retries = 0

[models.careful]
engine = "remote"
base_url = "{url}"
label = "secret"

[prices.there]
input = 1.0
output = 2.0
"""


@pytest.fixture(scope="session")
def clouds() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def leaving_server(
    clouds: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server, with a small model of its own and some beyond this machine."""
    folder: Path = tmp_path_factory.mktemp("leaving")
    stock(Store(folder / "models"), "fills", small_filler(folder / "fills.gguf"))
    home = folder / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(url=clouds.url))
    with RunningServer(
        home, NOIBO_STORE_PATH=str(folder / "models"), NOIBO_DEFAULT_MODEL="fills"
    ) as server:
        yield server


@pytest.fixture
def cloud(clouds: Cloud) -> Cloud:
    """The server elsewhere, as if nothing had been asked of it."""
    clouds.script = Script()
    clouds.sent.clear()
    return clouds


@pytest.fixture(scope="session")
def server(leaving_server: RunningServer) -> RunningServer:
    """What is asked by `front`; modules with settings of their own put theirs in its place."""
    return leaving_server


@pytest.fixture
def front(server: RunningServer, cloud: Cloud) -> Iterator[httpx2.Client]:
    """A client of the server that stands before it."""
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client
