"""`noibo privacy report | verify | head | sent`, as a user types them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from noibo.egress import Destination, Door, Purpose
from tests.running import run_noibo

CLOUD = "https://api.example/v1/chat/completions"
BODY = b'{"messages": []}'


@pytest.fixture
def left(home: Path) -> Path:
    """A home from which something left: two departures that ended, one that did not, one without
    content."""
    passed = Door(record=home / "egress.jsonl").open(
        Purpose.CLOUD_MODEL, [Destination.of("https://api.example")]
    )
    for number, user in enumerate(("local", "local", "gone")):
        departure = passed.depart(
            CLOUD,
            body=BODY + b" " * number,
            label="personal" if number else "internal",
            request=f"req-{number}",
            policy="p1",
            user=user,
        )
        if number < 2:
            departure.settle(len(BODY), 1000)
    passed.check("https://api.example/models")
    return home


def test_the_report_names_what_left_and_marks_what_is_open(left: Path) -> None:
    said = run_noibo("privacy", "report", home=left).stdout
    assert said.count("cloud_model") == 4
    assert "18*" in said
    assert "all of it may have left" in " ".join(said.split())
    assert "local" in said


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("destination", ["https://api.example:443"]),
        ("purpose", ["cloud_model"]),
        ("label", ["internal", "personal", ""]),
    ],
)
def test_sums_are_json_and_csv_too(left: Path, by: str, keys: list[str]) -> None:
    said = run_noibo("privacy", "report", "--by", by, "--json", home=left).stdout
    rows = json.loads(said)
    assert [row["key"] for row in rows] == keys
    assert sum(row["departures"] for row in rows) == 4
    assert sum(row["sent"] for row in rows) == 2 * len(BODY) + len(BODY) + 2
    said = run_noibo("privacy", "report", "--by", by, "--csv", home=left).stdout
    assert [row["key"] for row in csv.DictReader(io.StringIO(said))] == keys


def test_who_is_known_has_a_name_and_who_is_not_a_pseudonym(left: Path) -> None:
    said = run_noibo("privacy", "report", "--by", "user", "--json", home=left).stdout
    local, other, _ = (row["key"] for row in json.loads(said))
    assert local == "local"
    assert len(other) == 16
    said = run_noibo("privacy", "report", "--user", "gone", "--json", home=left).stdout
    assert [row["request"] for row in json.loads(said)] == ["req-2"]
    assert run_noibo("privacy", "report", "--user", "x", "--json", home=left).stdout == "[]\n"


def test_the_report_speaks_vietnamese(left: Path) -> None:
    said = run_noibo("privacy", "report", "--by", "day", "--lang", "vi", home=left).stdout
    assert "LƯỢT RA" in said
    assert "4 lượt ra, trong đó 3 lượt có nội dung" in said
    said = run_noibo("privacy", "verify", "--lang", "vi", home=left).stdout
    assert "6 dòng, tất cả đúng như khi được ghi" in said


def test_only_the_latest_are_listed(left: Path) -> None:
    said = run_noibo("privacy", "report", "--last", "2", home=left).stdout
    assert said.count("cloud_model") == 2
    assert "req-2" in said
    assert "2 earlier ones are not listed" in said


def test_a_span_without_departures_is_said(left: Path) -> None:
    said = run_noibo("privacy", "report", "--until", "1999-01-01", home=left).stdout
    assert said == "Nothing left this machine in that time.\n"
    done = run_noibo("privacy", "report", "--since", "yesterday", home=left)
    assert done.returncode == 2


def test_a_cell_is_no_formula(home: Path) -> None:
    passed = Door(record=home / "egress.jsonl").open(
        Purpose.CLOUD_MODEL, [Destination.of("https://api.example")]
    )
    passed.depart(CLOUD, body=b"", label="\t=1", request="=HYPERLINK(1)", policy="+1")
    said = run_noibo("privacy", "report", "--csv", home=home).stdout
    (row,) = csv.DictReader(io.StringIO(said))
    assert (row["label"], row["request"], row["policy"]) == ("'\t=1", "'=HYPERLINK(1)", "'+1")


def test_a_head_kept_elsewhere_proves_the_ledger(left: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("Of Friday:\n" + run_noibo("privacy", "head", home=left).stdout)
    done = run_noibo("privacy", "verify", "--head", str(kept), home=left)
    assert done.returncode == 0
    assert "contains the head of row 6" in done.stdout
    lines = (left / "egress.jsonl").read_text().splitlines(keepends=True)
    (left / "egress.jsonl").write_text("".join(lines[:4]))
    for name in ("egress.head", "node_key.json"):
        (left / name).unlink()
    done = run_noibo("privacy", "verify", "--json", "--head", kept.read_text(), home=left)
    assert done.returncode == 13
    faults = json.loads(done.stdout)[0]["faults"]
    assert any("rows 5 to 6 are missing at the end" in words for words in faults)


def test_what_is_no_head_is_refused(left: Path) -> None:
    for said in ("nothing", "noibo-head 1 egress 6"):
        assert run_noibo("privacy", "verify", "--head", said, home=left).returncode == 2


def test_exactly_these_bytes_are_found_again(left: Path, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(BODY + b" ")
    said = run_noibo("privacy", "sent", str(body), "--json", home=left).stdout
    assert [row["request"] for row in json.loads(said)] == ["req-1"]
    body.write_bytes(BODY + b"x")
    assert "never left" in run_noibo("privacy", "sent", str(body), home=left).stdout


def test_without_the_key_that_wrote_them_nobody_says_that_bytes_never_left(
    left: Path, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(BODY)
    (left / "node_key.json").unlink()
    for command in (["sent", str(tmp_path / "body")], ["report", "--user", "local"]):
        done = run_noibo("privacy", *command, home=left)
        assert "key of this node is gone" in done.stderr
        assert "never left" not in done.stdout
    assert run_noibo("privacy", "report", home=left).stdout.count("cloud_model") == 4
    Door(record=left / "egress.jsonl").open(
        Purpose.CLOUD_MODEL, [Destination.of("https://api.example")]
    ).check("https://api.example/models")
    done = run_noibo("privacy", "sent", str(tmp_path / "body"), home=left)
    assert "Rows up to 6 were written with another key" in done.stderr
    assert done.stdout.endswith("never left by the door of this node after row 6.\n")


def test_a_key_that_is_none_is_said(left: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY)
    (left / "node_key.json").unlink()
    (left / "node_key.json").mkdir()
    done = run_noibo("privacy", "sent", str(tmp_path / "body"), home=left)
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_before_anything_left_there_is_nothing_to_say(home: Path) -> None:
    assert run_noibo("privacy", "verify", home=home).returncode == 0
    assert "Nothing left" in run_noibo("privacy", "report", home=home).stdout
    assert run_noibo("privacy", "head", home=home).returncode == 2
    assert not home.exists(), "to look is to write nothing"
