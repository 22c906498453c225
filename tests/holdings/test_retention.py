"""What is old enough goes, and only that."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from pathlib import Path

import openai
import pytest

from noibo.egress import Destination, Door, Purpose
from noibo.ledger.check import check
from tests.running import RunningServer, run_noibo

DAY_S = 86_400
DAYS = {
    "NOIBO_RETENTION_FILES_DAYS": "10",
    "NOIBO_RETENTION_BATCHES_DAYS": "10",
    "NOIBO_RETENTION_EGRESS_DAYS": "10",
}


@pytest.fixture
def aged(home: Path) -> Path:
    """A home in which of each kind one is old, and one is not."""
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {}}
    data = json.dumps(line).encode()
    with (
        RunningServer(home) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        for number in range(2):
            client.responses.create(model="echo", input=f"say {number}")
            file = client.files.create(file=(f"{number}.jsonl", io.BytesIO(data)), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
            )
            while client.batches.retrieve(batch.id).status not in {"completed", "failed"}:
                pass
            if number == 0:
                old = time.time() - 40 * DAY_S
                with sqlite3.connect(home / "noibo.db", timeout=10) as database:
                    for table in ("responses", "files", "batches"):
                        database.execute(f"UPDATE {table} SET created_at = ?", (old,))
                database.close()
    return home


def kept(home: Path) -> dict[str, int]:
    with sqlite3.connect(home / "noibo.db") as database:
        tables = ("responses", "files", "batches")
        found = {
            table: int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
            for table in tables
        }
    database.close()
    return found


def test_what_is_old_is_told_and_goes_when_it_is_said(aged: Path) -> None:
    before = kept(aged)
    rows = json.loads(run_noibo("privacy", "retain", "--json", home=aged, **DAYS).stdout)
    due = {row["kind"]: row["due"] for row in rows}
    assert due["responses"] == due["batches"] == 1
    assert due["files"] >= 1
    assert kept(aged) == before, "nothing went"
    done = run_noibo("privacy", "retain", "--apply", "--json", home=aged, **DAYS)
    assert json.loads(done.stdout) == {kind: count for kind, count in due.items() if count}
    assert kept(aged) == {kind: count - due[kind] for kind, count in before.items()}
    assert len(list((aged / "files").iterdir())) == kept(aged)["files"]
    said = json.loads(run_noibo("privacy", "audit", "--json", home=aged).stdout)
    assert [act["ended"] for act in said if act["what"] == "retain"] == ["done"]


@pytest.mark.heavy
def test_without_days_all_is_kept(aged: Path) -> None:
    before = kept(aged)
    forever = {"NOIBO_SERVER_KEEP_RESPONSES_DAYS": "0"}
    assert run_noibo("privacy", "retain", "--apply", home=aged, **forever).returncode == 0
    assert kept(aged) == before


def test_old_rows_of_the_ledger_go_and_the_rest_is_still_proved(home: Path) -> None:
    record = home / "egress.jsonl"
    passed = Door(record=record).open(Purpose.MODEL_HUB, [Destination.of("https://a.example")])
    passed.check("https://a.example")
    ledger = passed.door.ledger
    assert ledger is not None
    assert ledger.prune(time.time() - DAY_S) == 0
    assert ledger.prune(time.time() + 1) == 1
    passed.check("https://a.example")
    assert [path.name for path in home.glob("egress*.jsonl")] == ["egress.jsonl"]
    found = check(record)
    assert (found.faults, found.first, found.rows) == ([], 2, 2)
    assert json.loads(run_noibo("privacy", "verify", "--json", home=home).stdout)[0]["sound"]
