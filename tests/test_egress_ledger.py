"""What leaves by the door is written down first, and what is said of it tells nothing of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from noibo.egress import Destination, Digest, Door, Pass, Purpose
from noibo.egress_ledger import Span, departures, digest_of, summed
from noibo.errors import DepartureNotRecorded, EgressRefused
from noibo.ledger.check import check
from noibo.ledger.node import node_of

CLOUD = "https://api.example/v1/chat/completions"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "home" / "egress.jsonl"


def passed(record: Path | None, *, offline: bool = False) -> Pass:
    return Door(offline=offline, record=record).open(
        Purpose.CLOUD_MODEL, [Destination.of("https://api.example")]
    )


def rows_of(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def said(**other: Any) -> dict[str, Any]:
    words = {"label": "internal", "request": "req-1", "policy": "may leave", "user": "an"}
    return {"body": b"What is in the letter of Mr An?"} | words | other


def test_a_departure_is_on_disk_before_it_may_happen(record: Path) -> None:
    departure = passed(record).depart(CLOUD, **said())
    (row,) = rows_of(record)
    assert (row["n"], row["kind"], row["bytes"]) == (1, "departure", 31)
    assert (row["purpose"], row["destination"]) == ("cloud_model", "https://api.example:443")
    assert (row["label"], row["request"], row["policy"]) == ("internal", "req-1", "may leave")
    assert departure.settle(31, 900)
    assert departure.settle(31, 900), "twice is once"
    settled = rows_of(record)[1:]
    assert [(one["of"], one["sent"], one["received"]) for one in settled] == [(1, 31, 900)]
    assert check(record).sound


def test_no_word_of_the_content_and_no_name_is_in_the_ledger(record: Path) -> None:
    passed(record).depart(CLOUD, **said())
    text = record.read_text()
    assert "letter" not in text
    assert '"an"' not in text


def test_a_short_content_cannot_be_guessed_from_its_digest(record: Path) -> None:
    """Nor do two equal ones look equal."""
    import hashlib

    for _ in range(2):
        passed(record).depart(CLOUD, **said(body=b"yes"))
    one, two = rows_of(record)
    assert one["digest"] != two["digest"]
    assert hashlib.sha256(b"yes").hexdigest() not in record.read_text()
    plain = hashlib.sha256(one["salt"].encode() + hashlib.sha256(b"yes").digest()).hexdigest()
    assert one["digest"] != plain


def test_who_has_the_content_and_the_node_can_prove_that_it_left(
    record: Path, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"y" * 3_000_000)
    passed(record).depart(CLOUD, **said(body=digest_of(body)))
    passed(record).depart(CLOUD, **said(body=b"another"))
    node = node_of(record.parent)
    content = Digest.of(body.read_bytes())
    assert [one.carried(content, node) for one in departures(record)] == [True, False]


def test_offline_nothing_departs_and_nothing_is_written(record: Path) -> None:
    going = passed(record)
    going.door.offline = True
    with pytest.raises(EgressRefused, match="offline"):
        going.depart(CLOUD, **said())
    with pytest.raises(EgressRefused, match="offline"):
        passed(record, offline=True)
    assert not record.parent.exists()


def test_only_the_declared_destination_may_be_departed_to(record: Path) -> None:
    for url in ("https://other.example/", "http://api.example/", "https://api.example:444/"):
        with pytest.raises(EgressRefused, match="only https"):
            passed(record).depart(url, **said())
    assert not record.exists()


def test_what_cannot_be_written_down_does_not_leave(record: Path) -> None:
    with pytest.raises(DepartureNotRecorded, match="no ledger"):
        passed(None).depart(CLOUD, **said())
    record.parent.mkdir()
    record.mkdir()
    with pytest.raises(DepartureNotRecorded):
        passed(record).depart(CLOUD, **said())
    with pytest.raises(EgressRefused, match="not written down"):
        passed(record).check(CLOUD)


def test_on_a_full_disk_nothing_leaves(record: Path) -> None:
    going = passed(record)
    going.depart(CLOUD, **said()).settle(1, 1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        departure = going.depart(CLOUD, **said())
        resource.setrlimit(resource.RLIMIT_FSIZE, (record.stat().st_size, limit[1]))
        with pytest.raises(DepartureNotRecorded):
            going.depart(CLOUD, **said())
        assert not departure.settle(5, 5), "the answer is there; that it is open shows"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert check(record).sound
    assert [one.is_open for one in departures(record)] == [False, True]


READ_ONLY = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from tests.test_egress_ledger import CLOUD, passed, said
from noibo.errors import DepartureNotRecorded
try:
    passed(pathlib.Path(sys.argv[1])).depart(CLOUD, **said())
except DepartureNotRecorded as error:
    print(error.code)
"""


def test_in_a_folder_that_may_not_be_written_nothing_leaves(record: Path) -> None:
    """As a user to whom rights mean something."""
    passed(record).depart(CLOUD, **said())
    root = Path(__file__).parent.parent
    record.parent.chmod(0o500)
    for path in record.parent.iterdir():
        path.chmod(0o444)
    command = [sys.executable, "-c", READ_ONLY, str(record), str(root)]
    if os.geteuid() == 0:  # root may write anywhere: without that right it may not
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    record.parent.chmod(0o700)
    assert done.stdout.strip() == "departure_not_recorded", done.stderr
    assert len(rows_of(record)) == 1


def test_words_of_a_request_stay_short_and_on_one_line(record: Path) -> None:
    passed(record).depart(CLOUD, **said(request="x\n{}" * 999, label="\ud800", policy='"}'))
    (row,) = rows_of(record)
    assert len(row["request"]) == 200
    assert (row["label"], row["policy"]) == ("\\ud800", '"}')


def test_sums_count_what_is_open_as_sent(record: Path) -> None:
    going = passed(record)
    going.depart(CLOUD, **said()).settle(20, 7)
    going.depart(CLOUD, **said(label="public", user="binh"))
    going.check(CLOUD)
    (day,) = summed(departures(record), "day")
    assert (day.departures, day.with_content, day.open) == (3, 2, 1)
    assert (day.bytes, day.sent, day.received) == (62, 20 + 31, 7)
    assert [one.key for one in summed(departures(record), "label")] == ["internal", "public", ""]
    node = node_of(record.parent)
    names = {node.pseudonym("an"): "an"}
    keys = [one.key for one in summed(departures(record), "user", lambda x: names.get(x, x))]
    assert keys == ["an", node.pseudonym("binh"), ""]


def test_a_span_has_its_first_and_its_last_day(record: Path) -> None:
    passed(record).check(CLOUD)
    today = date.today()
    assert len(list(departures(record, Span(today, today)))) == 1
    assert list(departures(record, Span(since=date(2999, 1, 1)))) == []
    assert list(departures(record, Span(until=date(1999, 1, 1)))) == []
    assert Span(date(2026, 1, 1), date(2026, 1, 2)).has(datetime(2026, 1, 2, 23, 59).timestamp())


def test_departures_of_versions_without_a_chain_are_told_too(record: Path) -> None:
    record.parent.mkdir()
    before = {"time": 1e9, "purpose": "model_hub", "destination": "https://a:443", "method": "GET"}
    record.write_text(json.dumps(before) + "\nno row\n[1]\n")
    passed(record).check(CLOUD)
    assert [one.purpose for one in departures(record)] == ["model_hub", "cloud_model"]
