"""Servers that take their time: a cancel and a page's own time end every wait for them.

The servers here do answer in the end, so that a wait nobody ended shows as a page that came.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from noibo.egress import Door, Purpose
from noibo.errors import Cancelled, FetchError, NoiboError
from noibo.modelstore.index.package_index import PackageIndex
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.origin import Hub, Package, Registry, Release
from noibo.modelstore.progress import Cancel, ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.sources.github import GithubSource
from noibo.modelstore.sources.hub import HubSource
from noibo.modelstore.sources.package import PackageSource
from noibo.modelstore.sources.registry import RegistrySource
from noibo.modelstore.web.session import WebSession
from noibo.settings import Fetch

PAGE = b"HTTP/1.1 200 OK\r\nX-Slow: 1234567890\r\nContent-Length: 20\r\n\r\n" + b" " * 20
WAIT_S = 2.5  # until a page comes after all


class SlowServer:
    """Sends a page byte by byte from `at` on, or is silent until the end; `met` once it began."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self.met = threading.Event()
        self.answered = threading.Event()
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            at = len(PAGE) if self._at is None else self._at
            connection.sendall(PAGE[:at] if self._at is not None else b"")
            self.met.set()
            pieces = [PAGE[n : n + 1] for n in range(at, len(PAGE))] or [PAGE]
            for piece in pieces:
                if self._over.wait(WAIT_S / len(pieces)):
                    return
                connection.sendall(piece)
            self.answered.set()
            connection.recv(1)


@pytest.fixture(params=[None, 20, len(PAGE) - 15], ids=["silent", "slow headers", "slow body"])
def server(request: pytest.FixtureRequest) -> Iterator[SlowServer]:
    with SlowServer(request.param) as running:
        yield running


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


def ended_by_cancel(met: threading.Event, call: Callable[[Cancel], Any]) -> None:
    """Cancel `call` once it waits; it must end by that."""
    cancel = Cancel()
    faults: list[BaseException | None] = []

    def run() -> None:
        try:
            call(cancel)
        except NoiboError as exc:
            faults.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    assert met.wait(10)
    cancel.ask()
    thread.join()
    assert [type(one) for one in faults] == [Cancelled]


def test_a_cancel_ends_the_wait_for_a_page(door: Door, server: SlowServer) -> None:
    def call(cancel: Cancel) -> None:
        with WebSession(door, Purpose.MODEL_FILE, [server.url], cancel=cancel) as web:
            web.get(f"{server.url}/page")

    ended_by_cancel(server.met, call)


def test_a_page_has_its_time_and_no_more(door: Door, server: SlowServer) -> None:
    with WebSession(door, Purpose.MODEL_FILE, [server.url]) as web:
        web.page_s = 0.3
        with pytest.raises(FetchError, match=r"not done with its answer in 0\.3 seconds"):
            web.get(f"{server.url}/page")


def test_a_page_that_is_slow_and_in_time_comes(door: Door) -> None:
    with SlowServer(20) as server, WebSession(door, Purpose.MODEL_FILE, [server.url]) as web:
        assert web.get(f"{server.url}/page").content == b" " * 20


@pytest.mark.parametrize("name", ["registry", "hub", "github", "index"])
def test_a_cancel_ends_the_question_to_every_kind_of_source(
    door: Door, server: SlowServer, tmp_path: Path, name: str
) -> None:
    fetch = Fetch(registry=server.url, hub=server.url, github=server.url)

    def open_index(door: Door) -> PackageIndex:
        return PackageIndex(door, PipSettings(indexes=(f"{server.url}/simple",)))

    def call(cancel: Cancel) -> None:
        source: Any = {
            "registry": lambda: RegistrySource(door, fetch),
            "hub": lambda: HubSource(door, fetch),
            "github": lambda: GithubSource(door, fetch),
            "index": lambda: PackageSource(door, tmp_path, open_index=open_index),
        }[name]()
        origin = {
            "registry": Registry(Reference("tiny")),
            "hub": Hub("acme/tiny"),
            "github": Release("acme", "models", "x.gguf"),
            "index": Package("llm-tiny"),
        }[name]
        with source.offer(origin, ignore, cancel):
            pass

    ended_by_cancel(server.met, call)


def test_a_file_that_comes_slowly_is_left_to_its_download(door: Door) -> None:
    with (
        SlowServer(len(PAGE) - 15) as server,
        WebSession(door, Purpose.MODEL_FILE, [server.url]) as web,
    ):
        web.page_s = 0.5  # until it begins
        with web.open(f"{server.url}/file", {}) as response:
            assert b"".join(response.iter_raw()) == b" " * 20


def test_a_file_that_never_begins_is_a_fault_that_passes(door: Door) -> None:
    with SlowServer(20) as server, WebSession(door, Purpose.MODEL_FILE, [server.url]) as web:
        web.page_s = 0.3
        with pytest.raises(httpx2.ReadTimeout), web.open(f"{server.url}/file", {}):
            pass


def test_a_cancel_ends_a_look_up_that_hangs(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    met, over, answered = threading.Event(), threading.Event(), threading.Event()

    def look_up(*_: Any, **__: Any) -> Any:
        met.set()
        over.wait(WAIT_S)
        answered.set()
        raise socket.gaierror("nobody knows")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def call(cancel: Cancel) -> None:
        with WebSession(door, Purpose.MODEL_FILE, ["https://far.example"], cancel=cancel) as web:
            web.retries = 0
            web.get("https://far.example/page")

    try:
        ended_by_cancel(met, call)
        assert not answered.is_set()
    finally:
        over.set()


def test_a_cancel_ends_a_handshake_that_hangs(door: Door) -> None:
    with SlowServer(None) as server:
        url = server.url.replace("http:", "https:")

        def call(cancel: Cancel) -> None:
            with WebSession(door, Purpose.MODEL_FILE, [url], cancel=cancel) as web:
                web.retries = 0
                web.get(f"{url}/page")

        ended_by_cancel(server.met, call)
        assert not server.answered.is_set()
