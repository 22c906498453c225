"""What was asked and what it cost, over HTTP: one's own, and for an admin everybody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from noibo import Client
from noibo.errors import RequestFailed
from noibo.wire.access import KeyWanted
from noibo.wire.usage import UsageReport
from tests.running import RunningServer, run_noibo

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("usage") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def keys(server: RunningServer) -> dict[str, str]:
    """Those of two users, who have asked twice and three times."""
    made = {}
    with server.client() as here:
        for name, times in {"anna": 2, "ben": 3}.items():
            here.add_user(name, "a long password", "user")
            made[name] = here.make_key(KeyWanted(name=f"of {name}", user=name)).key
            signed = {"Authorization": f"Bearer {made[name]}"}
            with httpx2.Client(base_url=server.url, headers=signed) as client:
                for _ in range(times):
                    assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
    return made


def counted(found: UsageReport) -> dict[str, int]:
    return {row[found.by]: row["calls"] for row in found.rows}


def test_an_admin_sees_everybodys(server: RunningServer, keys: dict[str, str]) -> None:
    with server.client() as here:
        assert counted(here.usage("user")) == {"anna": 2, "ben": 3}
        assert counted(here.usage(user="ben")) == {"echo": 3}
        assert here.usage(since="2020-01-01", until="2020-02-01").rows == []
        whole = here.usage("day", since="today").total
    assert (whole["calls"], whole["local_answers"], whole["api_cost"]) == (5, 5, 0)


def test_a_user_sees_only_ones_own(server: RunningServer, keys: dict[str, str]) -> None:
    with Client(server.url, api_key=keys["anna"]) as anna:
        assert counted(anna.usage("user")) == {"anna": 2}
        assert counted(anna.usage("user", user="anna")) == {"anna": 2}
        with pytest.raises(RequestFailed) as refused:
            anna.usage(user="ben")
    assert refused.value.http_status == 403


def test_another_server_is_asked_by_its_address(
    server: RunningServer, keys: dict[str, str], tmp_path: Path
) -> None:
    def usage(*options: str, **environ: str) -> str:
        asked = ("usage", "--url", server.url, *options)
        done = run_noibo(*asked, home=tmp_path / "mine", **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = usage("--key-env", "OFFICE_KEY", "--by", "user", OFFICE_KEY=keys["ben"])
    assert "ben" in told and "anna" not in told
    assert "3 of 3 answered requests were answered here: 100%." in told
    mini = ("--against", "openai/gpt-4o-mini", "--key-env", "OFFICE_KEY")
    assert "would have cost" in usage(*mini, OFFICE_KEY=keys["anna"])
    row = json.loads(usage("--json", "--key-env", "OFFICE_KEY", OFFICE_KEY=keys["anna"]))
    with Client(server.url, api_key=keys["anna"]) as anna:
        assert row["total"] == anna.usage().total
    refused = run_noibo("usage", "--url", server.url, "--key-env", "NOT_SET", home=tmp_path)
    assert refused.returncode == 2 and "NOT_SET" in refused.stderr


@pytest.mark.parametrize("said", ["since=soon", "until=2026-13-01", "by=colour"])
def test_what_is_no_time_is_said(server: RunningServer, said: str) -> None:
    answer = httpx2.get(f"{server.url}/noibo/v1/usage?{said}")
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["message"]
