"""Rows are added by many, and what went wrong before shows."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from noibo.errors import LedgerError
from noibo.ledger.check import check
from noibo.ledger.head import read_head
from noibo.ledger.ledger import Ledger
from noibo.ledger.node import node_of

WRITE = """
import sys, pathlib
from noibo.ledger.ledger import Ledger
ledger = Ledger(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    print(ledger.add({"kind": "test", "who": sys.argv[3], "what": number}), flush=True)
"""


@pytest.fixture
def current(tmp_path: Path) -> Path:
    """Where a ledger is to grow."""
    return tmp_path / "node" / "egress.jsonl"


def rows_of(current: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in current.read_text().splitlines()]


def filled(current: Path, count: int = 5) -> Ledger:
    ledger = Ledger(current)
    for number in range(count):
        ledger.add({"kind": "test", "what": number})
    return ledger


def test_each_row_has_the_digest_of_the_one_before(current: Path) -> None:
    filled(current)
    rows = rows_of(current)
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["previous"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    head = read_head(current.with_suffix(".head"))
    assert head is not None
    assert (head.number, head.hash) == (5, rows[-1]["hash"])


def test_keys_and_ledger_are_for_their_user_alone(current: Path) -> None:
    filled(current)
    for name in ("node_key.json", "egress.jsonl", "egress.head", "egress.lock"):
        assert (current.parent / name).stat().st_mode & 0o777 == 0o600, name


def test_threads_and_processes_write_one_chain(current: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(current), "25", name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    ledger = Ledger(current)
    numbers: list[int] = []

    def write(name: int) -> None:
        numbers.extend(
            ledger.add({"kind": "test", "who": str(name), "what": one}) for one in range(10)
        )

    threads = [threading.Thread(target=write, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        said, _ = process.communicate(timeout=60)
        numbers += [int(word) for word in said.split()[1:]]
        assert process.returncode == 0
    assert sorted(numbers) == list(range(1, 101))
    found = check(current)
    assert (found.rows, found.faults, found.notes) == (100, [], [])


def test_a_writer_that_is_killed_loses_no_row_that_it_was_told_of(current: Path) -> None:
    told = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(current), "100000", "x"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() != "ready":
                told = int(line)
            if told % 7 == 6:
                break
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:  # what it said before it died
            told = int(line) if line.endswith("\n") else told
        process.wait()
        process.stdout.close()
    found = check(current)
    assert found.faults == []
    assert found.last >= told
    Ledger(current).add({"kind": "test"})
    assert check(current).faults == []


def test_a_line_whose_writer_died_is_closed_off_and_told(current: Path) -> None:
    ledger = filled(current)
    with current.open("ab") as file:
        file.write(b'{"n": 6, "previous": "01')
    assert "not whole" in " ".join(check(current).notes)
    assert ledger.add({"kind": "test"}) == 7
    closing = rows_of_sound(current)[5]
    assert (closing["kind"], closing["bytes"]) == ("closed_off", 24)
    found = check(current)
    assert (found.faults, found.rows) == ([], 7)
    assert "24 bytes of a row that was never whole" in found.notes[0]


def rows_of_sound(current: Path) -> list[dict[str, object]]:
    found = []
    for line in current.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_bytes_that_were_closed_off_cannot_be_changed_later(current: Path) -> None:
    ledger = filled(current)
    with current.open("ab") as file:
        file.write(b"torn")
    ledger.add({"kind": "test"})
    current.write_bytes(current.read_bytes().replace(b"torn", b"sewn"))
    assert [words for words in check(current).faults if "no row of this ledger" in words]


def test_a_cut_end_stays_known_after_more_was_written(current: Path) -> None:
    filled(current)
    lines = current.read_bytes().splitlines(keepends=True)
    current.write_bytes(b"".join(lines[:3]))
    assert "rows 4 to 5 are missing at the end" in check(current).faults[0]
    assert Ledger(current).add({"kind": "test"}) == 7
    assert "rows 4 to 5 are gone: signed before" in check(current).faults[0]
    Ledger(current).add({"kind": "test"})
    assert len(check(current).faults) == 1


def put_back(ledger: Ledger, count: int = 3) -> None:
    """Ledger and head as they were some rows ago."""
    current = ledger.places.current
    kept = [(path, path.read_bytes()) for path in (current, current.with_suffix(".head"))]
    for _ in range(count):
        ledger.add({"kind": "test"})
    for path, data in kept:
        path.write_bytes(data)


def test_who_goes_on_writing_sees_that_an_earlier_ledger_was_put_back(current: Path) -> None:
    ledger = filled(current)
    put_back(ledger)
    assert check(current).faults == [], "nobody could know"
    assert ledger.add({"kind": "test"}) == 10
    assert "rows 6 to 8 are gone" in check(current).faults[0]


def test_and_sees_it_where_another_went_on_with_that(current: Path) -> None:
    ledger = filled(current)
    put_back(ledger)
    other = Ledger(current)
    for _ in range(6):
        other.add({"kind": "test", "who": "another"})
    ledger.add({"kind": "test"})
    (fault,) = check(current).faults
    assert "row 8 is not the one that was signed" in fault


def test_and_finds_nothing_where_another_only_went_on(current: Path) -> None:
    ledger, other = filled(current), Ledger(current, largest_part=1000)
    for _ in range(20):
        other.add({"kind": "test"})
        other.add({"kind": "test"})
        ledger.add({"kind": "test"})
    assert (check(current).faults, check(current).notes) == ([], [])


def test_a_last_row_that_was_written_anew_stays_known(current: Path) -> None:
    from noibo.ledger.row import seal

    filled(current)
    *before, last = rows_of(current)
    fields = {"kind": "test", "what": "another"}
    other, _ = seal(5, str(last["previous"]), fields, node_of(current.parent))
    lines = current.read_bytes().splitlines(keepends=True)
    current.write_bytes(b"".join([*lines[: len(before)], other]))
    assert "row 5 is not the one that was signed" in check(current).faults[0]
    Ledger(current).add({"kind": "test"})
    assert "row 5 is not the one that was signed" in check(current).faults[0]


def test_a_ledger_that_was_taken_away_shows_in_the_next(current: Path) -> None:
    filled(current)
    current.unlink()
    Ledger(current).add({"kind": "test"})
    assert "rows 1 to 5 are gone" in check(current).faults[0]


def test_a_ledger_that_was_taken_away_altogether_shows(current: Path) -> None:
    filled(current)
    for path in current.parent.glob("egress*"):
        path.unlink()
    assert "the whole ledger is gone" in check(current).faults[0]
    assert check(current.with_name("audit.jsonl")).faults == [], "there never was one"
    Ledger(current).add({"kind": "test"})
    (fault,) = check(current).faults
    assert "the whole ledger was gone" in fault


def test_who_goes_on_writing_knows_what_was_taken_away_altogether(current: Path) -> None:
    ledger = filled(current)
    for path in current.parent.glob("egress*"):
        path.unlink()
    assert ledger.add({"kind": "test"}) > 5
    assert any("rows 1 to 5 are gone" in words for words in check(current).faults)


def test_a_head_that_was_taken_away_shows(current: Path) -> None:
    filled(current)
    current.with_suffix(".head").unlink()
    assert "the signed head (egress.head) is gone" in check(current).faults[0]
    Ledger(current).add({"kind": "test"})
    assert "the signed head was gone" in check(current).faults[0]


def test_a_key_that_was_replaced_shows(current: Path) -> None:
    filled(current)
    (current.parent / "node_key.json").unlink()
    assert "the key of this node is gone" in check(current).faults[0]
    Ledger(current).add({"kind": "test"})
    assert "the key was replaced" in check(current).faults[0]


def test_rows_of_a_version_without_a_chain_are_taken_over(current: Path) -> None:
    current.parent.mkdir()
    before = json.dumps({"time": 1.0, "purpose": "model_hub", "destination": "https://a:443"})
    current.write_text(f"{before}\n{before}\n")
    assert check(current).faults == []
    assert "did not chain" in check(current).notes[0]
    Ledger(current).add({"kind": "test"})
    first, second = rows_of(current)
    assert (first["kind"], first["rows"], second["n"]) == ("taken_over", 2, 2)
    assert check(current).faults == []
    unchained = current.with_name("egress-unchained.jsonl")
    unchained.write_text(unchained.read_text().replace("hub", "bub"))
    assert "is not what row 1 took over" in check(current).faults[0]


def test_a_part_that_has_grown_is_put_by_and_the_chain_goes_on(current: Path) -> None:
    ledger = Ledger(current, largest_part=1000)
    for number in range(20):
        assert ledger.add({"kind": "test", "what": number}) == number + 1
    parts = sorted(current.parent.glob("egress-*.jsonl"))
    assert len(parts) == 4
    assert check(current).rows == 20
    assert Ledger(current).add({"kind": "test"}) == 21
    assert check(current).faults == []
    parts[1].unlink()
    assert "missing: row" in check(current).faults[0]


def test_parts_that_were_swapped_show(current: Path) -> None:
    ledger = Ledger(current, largest_part=1000)
    for number in range(20):
        ledger.add({"kind": "test", "what": number})
    one, two = sorted(current.parent.glob("egress-*.jsonl"))[:2]
    other = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(other)
    assert any("were moved" in words for words in check(current).faults)


def test_what_retention_takes_away_is_told_and_no_fault(current: Path) -> None:
    ledger = Ledger(current, largest_part=1000)
    for number in range(20):
        ledger.add({"kind": "test", "what": number, "time": float(number)})
    gone = ledger.prune(before=10.0)
    assert 0 < gone <= 10
    found = check(current)
    assert (found.faults, found.first) == ([], gone + 1)
    assert f"rows up to {gone} were taken away" in found.notes[0]


def test_parts_taken_away_by_hand_are_a_fault(current: Path) -> None:
    ledger = Ledger(current, largest_part=1000)
    for number in range(20):
        ledger.add({"kind": "test", "what": number})
    min(current.parent.glob("egress-*.jsonl")).unlink()
    assert "missing: the ledger begins with row" in check(current).faults[0]


@pytest.mark.parametrize("name", ["egress.jsonl", "egress.head", "node_key.json"])
def test_nothing_is_written_through_a_link(current: Path, tmp_path: Path, name: str) -> None:
    filled(current)
    victim = tmp_path / "victim"
    victim.write_text("")
    there = current.parent / name
    there.unlink()
    there.symlink_to(victim)
    with pytest.raises(LedgerError):
        Ledger(current).add({"kind": "test"})
    assert victim.read_text() == ""


def test_a_pipe_in_its_place_is_refused_and_holds_nobody_up(current: Path) -> None:
    filled(current)
    current.unlink()
    os.mkfifo(current)
    with pytest.raises(LedgerError):
        Ledger(current).add({"kind": "test"})
    with pytest.raises(LedgerError):
        check(current)


def test_a_full_disk_leaves_the_ledger_as_it_was(current: Path) -> None:
    """The kernel refuses each byte over the limit, as a disk without room does."""
    ledger = filled(current)
    size = current.stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, limit[1]))
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.add({"kind": "test"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert current.stat().st_size == size
    assert ledger.add({"kind": "test"}) == 6
    assert (check(current).faults, check(current).notes) == ([], [])


def test_a_row_without_a_head_is_no_row(current: Path) -> None:
    """The disk took the row and not the head: who asked was refused, and nothing says otherwise."""
    ledger = filled(current)
    in_the_way = current.with_name("egress.head.new")
    in_the_way.mkdir()
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.add({"kind": "test"})
    assert len(rows_of(current)) == 5
    in_the_way.rmdir()
    assert ledger.add({"kind": "test"}) == 6
    assert (check(current).faults, check(current).notes) == ([], [])


def test_a_row_that_cannot_be_written_keeps_no_other_from_it(current: Path) -> None:
    ledger = filled(current)
    for bad in ({"kind": "x" * 2**16}, {"what": float("nan")}, {"what": "\ud800"}, {"n": 3}):
        with pytest.raises(LedgerError):
            ledger.add(bad)
    assert ledger.add({"kind": "test"}) == 6
