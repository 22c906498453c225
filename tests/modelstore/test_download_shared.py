"""Several who fetch the same file at the same time, with and without a digest promised."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.errors import Cancelled, StoreError
from noibo.modelstore.download.pieces import seen
from noibo.modelstore.offer import Fetched
from noibo.modelstore.progress import Progress
from tests.modelstore.file_server import SMALL, FileServer, Get, noise, until

P = SMALL.piece
SIZE = 12 * P


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(noise(SIZE)) as running:
        running.lift(4 * P)
        yield running


class Fetching:
    """A download in a thread of its own."""

    def __init__(self, get: Get) -> None:
        self.get = get
        self.fetched: Fetched | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.fetched = self.get.run()
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.error = exc

    def end(self) -> Fetched:
        self._thread.join(20)
        assert self.error is None
        assert self.fetched is not None
        return self.fetched

    @property
    def waits(self) -> list[Progress]:
        return [one for one in self.get.said if one.stage == "wait"]


def two(server: FileServer, folder: Path, **wanted: object) -> tuple[Fetching, Fetching]:
    """Two who fetch the same; the second comes when the first has begun."""
    first, second = (Get(server, folder, **wanted) for _ in range(2))
    ahead = Fetching(first)
    until(lambda: seen(first.part) == (4 * P, SIZE))
    behind = Fetching(second)
    until(lambda: bool(behind.waits))
    return ahead, behind


@pytest.mark.parametrize("etag", [None, '"one"'])
def test_two_who_fetch_what_nobody_promised_get_a_whole_file_each(
    server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    ahead, behind = two(server, tmp_path, sha256=None)
    server.lift()
    first, second = ahead.end(), behind.end()
    assert first.path != second.path
    for fetched in (first, second):
        data = fetched.path.read_bytes()
        assert data == server.data
        assert hashlib.sha256(data).hexdigest() == fetched.sha256
    assert server.sent == 2 * SIZE


def test_who_waits_for_a_promised_file_fetches_nothing(server: FileServer, tmp_path: Path) -> None:
    ahead, behind = two(server, tmp_path)
    wait = behind.waits[0]
    assert (wait.done, wait.total) == (4 * P, SIZE)
    assert "waiting" in behind.get.notes
    server.lift()
    assert ahead.end() == behind.end()
    assert server.sent == SIZE
    behind.get.assert_whole()


def test_what_came_is_not_replaced_by_the_next_that_is_fetched(
    server: FileServer, tmp_path: Path
) -> None:
    server.lift()
    first = Get(server, tmp_path, sha256=None).run()
    server.data, server.etag = noise(SIZE, "another"), '"two"'
    second = Get(server, tmp_path, sha256=None).run()
    for fetched in (first, second):
        assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == fetched.sha256
    assert first.sha256 != second.sha256


@pytest.mark.parametrize("how", ["asked", "raised by the report"])
def test_a_wait_can_be_cancelled(server: FileServer, tmp_path: Path, how: str) -> None:
    first, second = (Get(server, tmp_path, sha256=None) for _ in range(2))
    ahead = Fetching(first)
    until(lambda: seen(first.part) == (4 * P, SIZE))

    def stop(progress: Progress) -> None:
        assert progress.stage == "wait"
        if how != "asked":
            raise Cancelled("no more")
        second.cancel.ask()

    with pytest.raises(Cancelled):
        second.run(report=stop)
    assert seen(first.part) == (4 * P, SIZE)
    server.lift()
    assert ahead.end().path.read_bytes() == server.data


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_part_that_is_not_ours_any_more_gets_no_name(
    server: FileServer, tmp_path: Path, what: str
) -> None:
    get = Get(server, tmp_path)
    fetching = Fetching(get)
    until(lambda: seen(get.part) == (4 * P, SIZE))
    get.part.unlink()
    if what == "replaced":
        get.part.write_bytes(bytes(SIZE))
    server.lift()
    with pytest.raises(AssertionError):
        fetching.end()
    assert isinstance(fetching.error, StoreError)
    assert "taken away or replaced" in str(fetching.error)
    assert not get.target.exists()
    get.run()
    get.assert_whole()
