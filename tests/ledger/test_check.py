"""Whatever is done to a ledger shows, and it is said to which row."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noibo.errors import UsageError
from noibo.ledger.check import check
from noibo.ledger.head import Head, read_head
from noibo.ledger.ledger import Ledger
from noibo.ledger.node import Node, node_of
from noibo.ledger.row import read, seal

Lines = list[bytes]
STRANGER = Node(b"x" * 32, b"y" * 32, "z")  # writes to the file, and does not have the key


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of ten rows, and its heads at row 5 and 10."""
    folder = tmp_path_factory.mktemp("node")
    ledger = Ledger(folder / "egress.jsonl")
    for number in range(1, 11):
        ledger.add({"kind": "departure", "time": 1e9 + number, "bytes": 100 + number})
        if number == 5:
            (folder / "at5").write_bytes((folder / "egress.head").read_bytes())
    return folder


@pytest.fixture
def node(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be harmed."""
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / path.name).chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("kind", ["departure", "pruned", "missing", "rewritten", "taken_over"])
@pytest.mark.parametrize(
    "said", [{"time": 1e308}, {"time": None}, {"time": 10**30}, {"last": "x"}, {"last": None}]
)
def test_no_row_keeps_a_ledger_from_being_checked(
    node: Path, kind: str, said: dict[str, Any]
) -> None:
    last = check(node / "egress.jsonl")
    row: dict[str, Any] = {"kind": kind, "time": 1e9, **said}
    with (node / "egress.jsonl").open("ab") as file:
        file.write(seal(11, last.hash, row, node_of(node))[0])
    assert check(node / "egress.jsonl").last == 11
    Ledger(node / "egress.jsonl").prune(2.0)


def head_at_5(node: Path) -> Head:
    return Head.read((node / "at5").read_text())


def harm(node: Path, how: Callable[[Lines], Lines]) -> None:
    path = node / "egress.jsonl"
    path.write_bytes(b"".join(how(path.read_bytes().splitlines(keepends=True))))


def again(lines: Lines, number: int) -> bytes:
    """A row with other contents and a digest that is right for them."""
    row = read(lines[number - 1].rstrip())
    return seal(number, row.previous, dict(row.fields) | {"bytes": 1}, STRANGER)[0]


def forged(lines: Lines, first: int, by: Node = STRANGER) -> Lines:
    """All rows from one on made anew, each with a right digest, the first of them changed."""
    made = lines[: first - 1]
    previous = read(lines[first - 1].rstrip()).previous
    for number in range(first, len(lines) + 1):
        fields = dict(read(lines[number - 1].rstrip()).fields)
        line, previous = seal(number, previous, fields | {"bytes": 1}, by)
        made.append(line)
    return made


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda x: [*x[:3], x[3].replace(b"104", b"999"), *x[4:]], "row 4 (egress.jsonl, line 4)"),
        (lambda x: x[:9], "row 10 is missing at the end"),
        (lambda x: x[:4], "rows 5 to 10 are missing at the end"),
        (lambda x: [], "rows 1 to 10 are missing at the end"),
        (lambda x: x[:3] + x[4:], "row 4 is missing: row 5 (egress.jsonl, line 4) follows row 3"),
        (lambda x: x[1:], "row 1 is missing: the ledger begins with row 2"),
        (lambda x: [*x[:3], again(x, 4), *x[4:]], "row 5 (egress.jsonl, line 5) does not follow"),
        (lambda x: forged(x, 4), "row 10 is not the one that was signed"),
        (lambda x: [*x[:2], x[3], x[2], *x[4:]], "stands after row"),
        (lambda x: [*x[:3], x[2], *x[3:]], "row 3 (egress.jsonl, line 4) stands after row 3"),
        (lambda x: [*x[:3], b"hello\n", *x[3:]], "egress.jsonl, line 4: it is no row"),
        (lambda x: [*x[:3], b"\x00\xff" * 99, b"\n", *x[3:]], "line 4: it is no row"),
        (lambda x: [*x[:3], b"x" * 10**6 + b"\n", *x[3:]], "line 4: it is not whole"),
        (lambda x: [*x[:9], x[9][:-1] + b" \n"], "row 10"),
        (lambda x: [*x[:9], x[9][:40]], "row 10 is missing at the end"),
    ],
    ids=[
        "one number", "the last row", "the last rows", "all rows", "a row within", "the first row",
        "a row made anew", "all rows made anew", "two rows changed round", "a row twice",
        "a foreign line", "bytes", "a long line", "a space at the end", "a row cut short",
    ],
)  # fmt: skip
def test_harm_shows(node: Path, how: Callable[[Lines], Lines], said: str) -> None:
    harm(node, how)
    found = check(node / "egress.jsonl")
    assert not found.sound
    assert any(said in words for words in found.faults), found.faults


def test_what_nobody_harmed_is_sound(node: Path) -> None:
    found = check(node / "egress.jsonl", [head_at_5(node)])
    assert (found.sound, found.rows, found.notes, found.contains) == (True, 10, [], [5])


def test_every_single_byte_counts(node: Path) -> None:
    """A byte that is turned over anywhere is seen."""
    path = node / "egress.jsonl"
    whole = path.read_bytes()
    dice = random.Random(8)
    for _ in range(200):
        place, bit = dice.randrange(len(whole)), 1 << dice.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        assert not check(path).sound, (place, bit)


def test_every_cut_counts(node: Path) -> None:
    path = node / "egress.jsonl"
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        assert not check(path).sound, size


# ── rows that somebody else wrote ───────────────────────────────────────────


def added(node: Path, *rows: dict[str, Any], by: Node = STRANGER) -> None:
    """Put rows at the end, each with a right digest, as who lacks the key can."""
    found = check(node / "egress.jsonl")
    number, digest = found.last, found.hash
    with (node / "egress.jsonl").open("ab") as file:
        for row in rows:
            number += 1
            line, digest = seal(number, digest, row, by)
            file.write(line)


def test_a_row_that_somebody_else_added_shows_now_and_later(node: Path) -> None:
    reached_nobody = {"kind": "settled", "of": 10, "sent": 0, "outcome": "unreached"}
    added(node, reached_nobody, {"kind": "departure"})
    said = "rows 11 to 12 (egress.jsonl, line 11): not written by this node"
    assert said in check(node / "egress.jsonl").faults[0]
    assert Ledger(node / "egress.jsonl").add({"kind": "departure"}) == 13
    assert said in check(node / "egress.jsonl").faults[0], "also when a head was signed after it"


def test_a_beginning_cut_off_is_not_taken_for_retention(node: Path) -> None:
    """Who lacks the key says, as retention does, that rows were taken away."""
    second = read((node / "egress.jsonl").read_bytes().splitlines()[1])
    added(node, {"kind": "pruned", "time": 1e9, "last": 1, "digest": second.previous})
    harm(node, lambda x: x[1:])
    Ledger(node / "egress.jsonl").add({"kind": "departure"})
    faults = check(node / "egress.jsonl").faults
    assert [words for words in faults if "row 11 (egress.jsonl, line 10): not written" in words]


def test_a_row_made_anew_is_named(node: Path) -> None:
    harm(node, lambda x: [*x[:3], again(x, 4), *x[4:]])
    faults = check(node / "egress.jsonl").faults
    assert any("row 4 (egress.jsonl, line 4): not written by this node" in one for one in faults)


def test_rows_by_a_former_key_are_told_by_the_row_of_the_new_one(node: Path) -> None:
    (node / "node_key.json").unlink()
    Ledger(node / "egress.jsonl").add({"kind": "departure"})
    (fault,) = check(node / "egress.jsonl").faults
    assert "the key was replaced" in fault


# ── a head that was kept elsewhere ──────────────────────────────────────────


def test_who_has_the_key_cannot_hide_from_a_head_kept_elsewhere(node: Path) -> None:
    """Rows made anew and signed with the node's own key: only the other head knows."""
    kept, own = head_at_5(node), node_of(node)
    harm(node, lambda x: forged(x, 3, own))
    last = read((node / "egress.jsonl").read_bytes().splitlines()[-1])
    (node / "egress.head").write_text(str(Head.sign("egress", 10, last.hash, 1e9, own)))
    assert check(node / "egress.jsonl").sound
    found = check(node / "egress.jsonl", [kept])
    assert found.faults == [
        f"row 5 is not the one that the head of {kept.time} names: the ledger was rewritten up to"
        " there, or is another."
    ]


def test_a_whole_folder_put_back_from_before_shows(node: Path) -> None:
    """Ledger, head and key of an earlier day: sound by themselves."""
    kept = read_head(node / "egress.head")
    assert kept is not None
    harm(node, lambda x: x[:5])
    (node / "egress.head").write_bytes((node / "at5").read_bytes())
    assert check(node / "egress.jsonl").sound
    assert "rows 6 to 10 are missing" in check(node / "egress.jsonl", [kept]).faults[0]


def test_another_nodes_ledger_shows(node: Path, tmp_path: Path) -> None:
    kept = head_at_5(node)
    other = tmp_path / "other" / "egress.jsonl"
    ledger = Ledger(other)
    for _ in range(6):
        ledger.add({"kind": "departure"})
    said = " ".join(check(other, [kept]).faults)
    assert "row 5 is not the one" in said
    assert "another node's head, or a replaced key" in said


def test_a_head_that_was_changed_is_no_head(node: Path) -> None:
    text = str(head_at_5(node))
    for other in (text.replace(" 5 ", " 4 "), text[:-3] + "AAA", text[:100], "", "noibo-head 1"):
        with pytest.raises(UsageError):
            Head.read(other)


def test_a_head_before_what_retention_took_away_is_told_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "egress.jsonl", largest_part=1000)
    heads = []
    for number in range(20):
        ledger.add({"kind": "departure", "time": float(number)})
        heads.append(Head.read((tmp_path / "egress.head").read_text()))
    gone = ledger.prune(before=10.0)
    assert check(tmp_path / "egress.jsonl", [heads[gone - 1], heads[-1]]).sound
    assert "not kept any more" in check(tmp_path / "egress.jsonl", [heads[0]]).faults[0]


def test_the_signature_can_be_checked_without_noibo(node: Path) -> None:
    """What a head signs is the line itself before its last word."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    line = (node / "at5").read_text().strip()
    said, _, signature = line.rpartition(" ")
    key = said.rpartition(" ")[2]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key + "="))
    public.verify(base64.urlsafe_b64decode(signature + "=="), said.encode())


# ── size ────────────────────────────────────────────────────────────────────

MEMORY = """
import pathlib, re, sys
from noibo.ledger.check import check
found = check(pathlib.Path(sys.argv[1]))
# Not ru_maxrss: that begins with what the process had that started this one.
most = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(found.rows, found.sound, int(most) // 1024)
"""


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_million_rows_are_checked_in_little_memory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "egress.jsonl")
    row = {"kind": "departure", "time": 1e9, "destination": "https://a.example:443", "bytes": 1}
    with ledger._turn, ledger._alone():
        for _ in range(200):
            ledger._writer.write([row] * 5000)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "egress.jsonl")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[:2] == ["1000000", "True"]
    assert int(said[2]) < 100, "MB"
