"""Servers as they are out there, one trouble each, and what must happen."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from noibo.errors import AccessNeeded, DigestMismatch, FetchError, NotOffered
from noibo.modelstore.download.claim import ContentRange, length_of, range_of
from noibo.modelstore.download.pieces import seen
from noibo.modelstore.progress import Progress
from tests.modelstore.file_server import QUICK, SMALL, FileServer, Get, noise, until

pytestmark = pytest.mark.heavy  # the long stories of the store; `make test` has the short ones

P, C = SMALL.piece, SMALL.chunk
HELPFUL = replace(QUICK, help_s=0.5, silent_s=0.3)
SIZE = 16 * P + 333


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(noise(SIZE)) as one:
        yield one


@pytest.fixture
def get(server: FileServer, tmp_path: Path) -> Get:
    """A download of a file whose digest was promised."""
    return Get(server, tmp_path / "partial")


@pytest.fixture
def unpromised(server: FileServer, tmp_path: Path) -> Get:
    """A download of a file of which nothing is known beforehand."""
    return Get(server, tmp_path / "partial", sha256=None)


# Ranges


def test_ranges_are_fetched_over_several_connections_and_no_byte_twice(get: Get) -> None:
    get.server.trouble.pause_s = 0.002
    get.run()
    get.assert_whole()
    assert get.server.most_busy == get.connections
    assert get.server.sent == SIZE
    assert get.server.ranges[0] == f"bytes=0-{P - 1}"


def test_a_server_that_ignores_ranges_is_read_as_one_stream(get: Get) -> None:
    get.server.trouble.ranges = "ignored"
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE
    assert len(get.server.requests) == 1


def test_a_part_of_a_server_that_ignores_ranges_starts_over_and_says_so(get: Get) -> None:
    get.server.trouble.ranges = "ignored"
    get.leave_part(5 * P)
    get.run()
    get.assert_whole()
    assert "Starting over: the server sent the file from its beginning." in get.notes
    assert get.server.ranges[-1] is None


def test_ranges_ignored_and_cut_are_tried_again_from_the_start(get: Get) -> None:
    get.server.trouble.ranges = "ignored"
    get.server.trouble.cuts = [5 * P, SIZE, 7 * P]  # the second answer is to a range, and unread
    get.run()
    get.assert_whole()
    assert "Starting over" in get.notes


def test_ranges_ignored_and_cut_at_one_place_come_to_an_end(get: Get) -> None:
    get.server.trouble.ranges = "ignored"
    get.server.trouble.cut_each = lambda _: 3 * P
    with pytest.raises(FetchError, match="could not be fetched"):
        get.run()
    assert len(get.server.requests) <= 4 + QUICK.retries


@pytest.mark.parametrize("kind", ["shifted", "garbled", "endless", "refused"])
def test_ranges_that_cannot_be_believed_are_done_without(get: Get, kind: str) -> None:
    get.server.trouble.ranges = kind  # type: ignore[assignment]
    get.run()
    get.assert_whole()
    assert get.server.ranges == [f"bytes=0-{P - 1}", None]


@pytest.mark.parametrize("kind", ["shifted", "garbled", "endless", "refused"])
def test_a_wrong_range_in_mid_file_is_asked_again(get: Get, kind: str) -> None:
    def each(server: FileServer, number: int) -> None:
        server.trouble.ranges = kind if number == 3 else "served"  # type: ignore[assignment]

    get.server.trouble.each = each
    get.connections = 1
    get.run()
    get.assert_whole()
    assert get.server.sent < 2 * SIZE
    assert "trying again" in get.notes


def test_ranges_that_stay_wrong_end_it_and_keep_what_is_there(get: Get) -> None:
    def each(server: FileServer, number: int) -> None:
        server.trouble.ranges = "shifted" if number > 1 else "served"

    get.server.trouble.each = each
    with pytest.raises(FetchError, match="another part than was asked for"):
        get.run()
    here = seen(get.part)
    assert here is not None
    assert here[0] >= P


def test_if_range_that_is_not_understood_is_done_without(unpromised: Get) -> None:
    unpromised.server.trouble.has_if_range = False
    unpromised.run()
    unpromised.assert_whole()
    assert "Starting over" not in unpromised.notes


# The file changes


@pytest.mark.parametrize("validator", ["etag", "modified"])
def test_a_file_that_changes_in_mid_download_is_fetched_anew(
    unpromised: Get, validator: str
) -> None:
    server, changed = unpromised.server, noise(SIZE, "changed")
    server.etag, server.modified = None, None
    setattr(server, validator, '"one"')

    def each(server: FileServer, number: int) -> None:
        if number == 4:
            server.data = changed
            setattr(server, validator, '"two"')

    server.trouble.each = each
    unpromised.run()
    unpromised.assert_whole()
    assert "Starting over: the server has another file now." in unpromised.notes


@pytest.mark.parametrize("size", [SIZE + 1, SIZE - 1, 3 * C, 0])
def test_a_file_of_another_length_is_fetched_anew(unpromised: Get, size: int) -> None:
    def each(server: FileServer, number: int) -> None:
        if number == 3:
            server.data = noise(size, "changed")

    unpromised.server.trouble.each = each
    unpromised.run()
    unpromised.assert_whole()


def test_a_file_that_changes_all_the_time_ends_with_a_clear_word(unpromised: Get) -> None:
    def each(server: FileServer, number: int) -> None:
        server.etag = f'"{number}"'

    unpromised.server.trouble.each = each
    with pytest.raises(FetchError, match="it became another file 4 times"):
        unpromised.run()


def test_with_a_digest_promised_another_etag_is_no_reason_to_start_over(get: Get) -> None:
    """Behind one address may be several machines, each with ETags of its own."""

    def each(server: FileServer, number: int) -> None:
        server.etag, server.modified = f'"{number}"', str(number)

    get.server.trouble.each = each
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE


def test_a_file_that_became_the_promised_one_is_mended_to_it(get: Get) -> None:
    right, old = get.server.data, bytearray(get.server.data)
    old[5] ^= 1
    old[P + 5] ^= 1
    get.server.data = bytes(old)

    def each(server: FileServer, number: int) -> None:
        if number == 6:
            server.data = right

    get.server.trouble.each = each
    get.run()
    get.assert_whole()
    assert get.server.sent < 2 * SIZE


# Bytes


@pytest.mark.parametrize("at", [0, P - 1, 5 * P + 17])
def test_a_byte_flipped_once_is_found_and_mended_alone(get: Get, at: int) -> None:
    get.server.trouble.flips = {at: 1}
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE + (at // P + 1) * P  # up to the bad stretch, and no further
    assert {one.stage for one in get.said} >= {"download", "repair"}


def test_several_flipped_bytes_are_mended(get: Get) -> None:
    get.server.trouble.flips = {C: 1, 3 * P: 1, 9 * P + 1: 1, SIZE - 1: 1}
    get.run()
    get.assert_whole()
    assert get.server.sent == 2 * SIZE


def test_a_byte_that_is_always_wrong_is_refused_and_nothing_kept(get: Get) -> None:
    get.server.trouble.flips = {7 * P: -1}
    with pytest.raises(DigestMismatch, match=r"no better\. It was thrown away"):
        get.run()
    assert get.here == []
    assert get.server.sent == 2 * SIZE


def test_without_ranges_a_flipped_byte_is_mended_from_a_second_stream(get: Get) -> None:
    get.server.trouble.ranges = "ignored"
    get.server.trouble.flips = {7 * P: 1}
    get.run()
    get.assert_whole()


@pytest.mark.parametrize("has_size", [True, False])
def test_a_stream_without_a_length_is_taken_to_its_end(
    server: FileServer, tmp_path: Path, has_size: bool
) -> None:
    get = Get(server, tmp_path, size=SIZE if has_size else None)
    server.trouble.ranges = "ignored"
    for server.trouble.chunked, server.trouble.has_length in ((True, True), (False, False)):
        get.run()
        get.assert_whole()
        get.target.unlink()


def test_a_stream_without_a_length_is_continued(unpromised: Get) -> None:
    unpromised.server.trouble.ranges = "ignored"
    unpromised.server.trouble.chunked = True
    unpromised.leave_part(5 * P)
    assert seen(unpromised.part) == (5 * P, None)
    unpromised.server.trouble.ranges = "served"
    unpromised.run()
    unpromised.assert_whole()
    assert unpromised.server.sent == SIZE - 5 * P


def test_more_bytes_than_promised_are_refused(server: FileServer, tmp_path: Path) -> None:
    get = Get(server, tmp_path, size=SIZE)
    server.trouble.ranges = "ignored"
    server.trouble.has_length = False
    server.trouble.surplus = 5000
    with pytest.raises(FetchError, match="more bytes than it said"):
        get.run()


def test_more_bytes_than_asked_for_are_not_taken(get: Get) -> None:
    get.server.trouble.surplus = 5000
    get.run()
    get.assert_whole()
    get.target.unlink()
    get.server.trouble.has_length = False
    get.run()
    get.assert_whole()


@pytest.mark.parametrize("has_length", [True, False])
def test_fewer_bytes_than_said_are_asked_for_again(get: Get, has_length: bool) -> None:
    get.server.trouble.deficit = 100
    get.server.trouble.has_length = has_length

    def each(server: FileServer, number: int) -> None:
        server.trouble.deficit = 100 if number % 2 else 0

    get.server.trouble.each = each
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE


def test_another_size_than_promised_is_refused_before_a_byte_is_kept(
    server: FileServer, tmp_path: Path
) -> None:
    get = Get(server, tmp_path, size=SIZE + 1)
    with pytest.raises(DigestMismatch, match=f"{SIZE} bytes instead of {SIZE + 1}"):
        get.run()
    assert get.here == []


# Time


def test_cuts_at_random_cost_no_byte_twice(get: Get) -> None:
    chance = random.Random(7)
    get.server.trouble.cut_each = lambda _: chance.randrange(1, P)
    get.run(replace(QUICK, retries=5))
    get.assert_whole()
    assert get.server.sent == SIZE
    assert len(get.server.requests) > 20


def test_cuts_that_bring_no_byte_end_it_and_keep_what_is_there(get: Get) -> None:
    get.server.trouble.cut_each = lambda number: P if number == 1 else 0
    with pytest.raises(FetchError, match=r"65\.5 kB are here and kept"):
        get.run()
    assert seen(get.part) == (P, SIZE)


def test_a_slow_server_is_waited_for(get: Get) -> None:
    get.server.trouble.pause_s = 0.005
    get.run()
    get.assert_whole()
    assert "trying again" not in get.notes


def test_one_slow_connection_does_not_hold_up_the_rest(get: Get) -> None:
    """The second request would take a minute for what it was given."""
    get.server.trouble.slow = {2: 60 * 4096 / P}
    get.timeout = 30
    get.run(HELPFUL)
    get.assert_whole()
    ranges = [text for text in get.server.ranges if text]
    assert len(ranges) == len(set(ranges))
    assert get.server.sent < SIZE + P


def test_a_dead_connection_gives_its_work_to_another(get: Get) -> None:
    get.server.trouble.stall_at = {3: C}
    get.timeout = 30
    get.run(HELPFUL)
    get.assert_whole()
    assert get.server.sent < SIZE + P


def test_a_request_that_is_never_answered_gives_its_work_to_another(get: Get) -> None:
    get.server.trouble.mute = {3}
    get.timeout = 30
    get.run(HELPFUL)
    get.assert_whole()


def test_a_server_that_stands_still_is_left_and_asked_again(get: Get) -> None:
    get.server.trouble.stall_at = {1: C}
    get.timeout = 0.2
    get.run()
    get.assert_whole()
    assert "stood still" in get.notes


def test_a_silent_connection_is_hung_up_though_the_client_would_wait(get: Get) -> None:
    get.server.trouble.stall_at = {1: C}
    get.timeout = 30
    get.run(replace(QUICK, dead_s=0.3))
    get.assert_whole()
    assert get.server.sent == SIZE


# Answers that are not the file


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "TEXT/HTML"])
def test_a_web_page_is_refused(get: Get, kind: str) -> None:
    get.server.trouble.headers = {"Content-Type": kind}
    get.server.trouble.body = b"<html>Please sign in</html>"
    with pytest.raises(FetchError, match="web page instead of the file"):
        get.run()
    assert not get.part.exists()


def test_a_web_page_in_mid_file_is_refused_and_what_came_is_kept(get: Get) -> None:
    def each(server: FileServer, number: int) -> None:
        if number == 5:
            server.trouble.headers = {"Content-Type": "text/html"}

    get.server.trouble.each = each
    with pytest.raises(FetchError, match="web page"):
        get.run()
    assert get.part.stat().st_size > 0


def test_an_error_in_json_is_refused(get: Get) -> None:
    get.server.trouble.headers = {"Content-Type": "application/json"}
    get.server.trouble.body = b'{"error": "no"}'
    with pytest.raises(FetchError, match="message in JSON"):
        get.run()
    assert not get.part.exists()


def test_json_that_is_the_file_is_taken(server: FileServer, tmp_path: Path) -> None:
    server.trouble.headers = {"Content-Type": "application/json"}
    get = Get(server, tmp_path, size=SIZE)
    get.run()
    get.assert_whole()


def test_a_repacked_answer_is_refused(get: Get) -> None:
    get.server.trouble.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(FetchError, match="repacked on the way"):
        get.run()
    assert all(one["accept-encoding"] == "identity" for one in get.server.requests)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessNeeded), (403, AccessNeeded), (404, NotOffered), (410, NotOffered)],
)
def test_a_refusal_is_not_asked_again(get: Get, status: int, error: type[FetchError]) -> None:
    get.server.trouble.statuses = [(status, {})] * 9
    with pytest.raises(error):
        get.run()
    assert len(get.server.requests) == 1
    assert not get.part.exists()


def test_a_refusal_in_mid_file_keeps_what_is_there(get: Get) -> None:
    def each(server: FileServer, number: int) -> None:
        if number == 4:
            server.trouble.statuses = [(403, {})]

    get.server.trouble.each = each
    with pytest.raises(AccessNeeded):
        get.run()
    here = seen(get.part)
    assert here is not None
    get.server.trouble.each = None
    get.server.forget()
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE - here[0]


def test_errors_of_the_server_now_and_then_pass(get: Get) -> None:
    chance = random.Random(3)

    def each(server: FileServer, _: int) -> None:
        if chance.random() < 0.4:
            server.trouble.statuses.append((chance.choice([500, 502, 503, 504, 522]), {}))

    get.server.trouble.each = each
    get.run(replace(QUICK, retries=20))
    get.assert_whole()
    assert get.server.sent == SIZE


@pytest.mark.parametrize("form", ["seconds", "date", "nonsense"])
def test_too_many_requests_are_followed_by_fewer(get: Get, form: str) -> None:
    wait = {"seconds": "3600", "date": email.utils.formatdate(time.time() + 3600), "nonsense": "x"}
    asked_at: list[float] = []

    def each(server: FileServer, number: int) -> None:
        asked_at.append(time.monotonic())
        if number in {3, 4}:
            server.trouble.statuses.append((429, {"Retry-After": wait[form]}))

    get.server.trouble.each = each
    get.server.trouble.pause_s = 0.001
    get.run()
    get.assert_whole()
    assert "answered 429; trying again" in get.notes
    assert get.server.sent == SIZE


def test_retry_after_is_honoured_up_to_a_cap(get: Get) -> None:
    get.server.trouble.statuses = [(429, {"Retry-After": "3600"})]
    began = time.monotonic()
    get.run()
    assert time.monotonic() - began >= QUICK.longest_pause_s
    get.assert_whole()


def test_each_request_may_be_sent_to_an_address_of_its_own(get: Get) -> None:
    get.server.trouble.sign = True
    get.run()
    get.assert_whole()
    assert get.server.sent == SIZE


def test_everything_at_once(get: Get) -> None:
    """Cuts, errors, ETags that differ and a flipped byte: the file comes all the same."""
    chance = random.Random(11)

    def each(server: FileServer, number: int) -> None:
        server.etag = f'"{number % 3}"'
        if chance.random() < 0.2:
            server.trouble.statuses.append((503, {"Retry-After": "0"}))

    get.server.trouble.each = each
    get.server.trouble.cut_each = lambda number: chance.randrange(1, 2 * P)
    get.server.trouble.flips = {3 * P: 1}
    get.server.trouble.sign = True
    get.run(replace(QUICK, retries=20))
    get.assert_whole()


def test_what_is_told_goes_up_and_says_how_fast(get: Get) -> None:
    get.server.trouble.pause_s = 0.005
    get.run()
    came = [one for one in get.said if one.stage == "download"]
    assert [one.done for one in came] == sorted(one.done for one in came)
    assert (came[-1].done, came[-1].total) == (SIZE, SIZE)
    assert came[-1].rate
    assert any(one.seconds_left for one in came)


def test_notes_come_in_the_callers_thread_and_all_of_them(get: Get) -> None:
    get.server.trouble.statuses = [(503, {})] * 2
    said: list[Progress] = []
    get.run(report=said.append)
    assert [one.note for one in said if one.note] == ["The server answered 503; trying again."] * 2
    until(lambda: get.server.busy == 0)


# Numbers


@pytest.mark.parametrize("digits", [19, 5000])
def test_a_number_no_file_is_as_long_as_says_nothing(digits: int) -> None:
    long = "9" * digits
    assert length_of(httpx2.Response(200, headers={"content-length": long})) is None
    for said in (f"bytes 0-1/{long}", f"bytes 0-{long}/*", f"bytes {long}-{long}9/*"):
        assert range_of(httpx2.Response(206, headers={"content-range": said})) == ContentRange()
