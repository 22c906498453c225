from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from noibo.modelstore.store import Store
from tests.engines.stocking import stock
from tests.gateway.admitting import Door, first_key
from tests.running import RunningServer
from tests.small_models import Encoder, small_encoder, small_filler

ALIASES = {"gpt-4o-mini": "fills:latest", "text-embedding-3-small": "mean:latest"}


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """What the small models that give vectors are made of."""
    return small_encoder()


@pytest.fixture(scope="session")
def small_server(
    encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server with small models of every kind: encoders that pool in different ways, one that
    ranks, and one that writes (nonsense, fast) and fills in: the default."""
    folder: Path = tmp_path_factory.mktemp("small")
    store = Store(folder / "models")
    for pooling in ("mean", "cls", "none"):
        stock(store, pooling, encoder.write(folder / f"{pooling}.gguf", pooling))
    stock(store, "silent", encoder.write(folder / "silent.gguf", None))
    stock(store, "ranks", small_encoder(ranks=True).write(folder / "ranks.gguf", "rank"))
    stock(store, "fills", small_filler(folder / "fills.gguf"))
    own = ("<before>", "<behind>", "<gap>")
    stock(store, "fills-otherwise", small_filler(folder / "otherwise.gguf", own))
    home = folder / "home"
    home.mkdir()
    lines = [f'"{alias}" = "{name}"' for alias, name in ALIASES.items()]
    (home / "noibo.toml").write_text("\n".join(["[aliases]", *lines]))
    with RunningServer(
        home,
        NOIBO_STORE_PATH=str(folder / "models"),
        NOIBO_DEFAULT_MODEL="fills",
        NOIBO_ENGINE_BATCH_SECONDS="0.001",  # batches as on a slow machine
    ) as server:
        yield server


@pytest.fixture(scope="session")
def door(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One server that others reach, for all tests that do not harm it; small models as above."""
    folder: Path = tmp_path_factory.mktemp("door")
    store = Store(folder / "models")
    stock(store, "mean", encoder.write(folder / "mean.gguf", "mean"))
    stock(store, "ranks", small_encoder(ranks=True).write(folder / "ranks.gguf", "rank"))
    stock(store, "fills", small_filler(folder / "fills.gguf"))
    home = folder / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(
        '[aliases]\n"gpt-4o-mini" = "fills:latest"\n'
        '[server]\nallowed_hosts = ["*.lan", "ai.example"]\n'
        'allowed_origins = ["https://app.example"]\n'
    )
    admin = first_key(home)
    with RunningServer(
        home,
        "--host",
        "0.0.0.0",
        NOIBO_STORE_PATH=str(folder / "models"),
        NOIBO_DEFAULT_MODEL="fills",
    ) as server:
        yield Door(server, admin)


@pytest.fixture
def small(small_server: RunningServer) -> Iterator[httpx2.Client]:
    """Its client."""
    with httpx2.Client(base_url=small_server.url, timeout=170) as made:
        yield made
