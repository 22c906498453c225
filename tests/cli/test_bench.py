"""`noibo bench`, as it is typed."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from noibo.cli.bench import bench
from noibo.cli.bench_files import Files
from noibo.errors import UsageError
from tests.evaluation.made import report, round_of, standing
from tests.gateway.test_tls import Signed
from tests.running import RunningServer, clean_environment, run_noibo, until

SHORT = ("--rounds", "2", "--requests", "4", "--concurrency", "1,2", "--tokens", "8")
# Rounds of so many requests, however fast the machine, and more of them than anybody waits for.
LONG = ("--rounds", "100000", "--requests", "20", "--concurrency", "1,2", "--tokens", "16")
ROUND = 20 * 2 * 16  # tokens


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--vs", "http://10.0.0.1/v1"], 4, "is measured through noibo"),
        (["--vs", "127.0.0.1:8000"], 2, "noibo bench --vs http://127.0.0.1:8000/v1"),
        (["--vs", "http://127.0.0.1:1", "--vs-key-env", "NO_SUCH"], 2, "no variable NO_SUCH"),
        (["--vs-model", "x"], 2, "There are 1 --vs-model for 0 --vs."),
        (["--concurrency", "1,many"], 2, "--concurrency 1,4,16"),
        (["--json", "no/such/folder/x.json"], 2, "cannot be written"),
        (["--used", "0"], 2, "--used"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_starts(
    home: Path, arguments: list[str], code: int, said: str
) -> None:
    done = run_noibo("bench", *arguments, home=home)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert not (home / "server.json").exists()


def test_a_file_that_cannot_be_written_any_more_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = report(standing("a", round_of(1)))
    files = Files(tmp_path / "gone" / "x.json", tmp_path / "x.csv", None, "en")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        files.write(made)
    assert caught.value.next_step
    assert (tmp_path / "x.csv").read_text().startswith("side,")
    assert capsys.readouterr().out == f"Written: {tmp_path / 'x.csv'}\n"


def test_where_nobody_listens_the_command_that_shows_it_is_named(home: Path, port: int) -> None:
    done = run_noibo("bench", "--vs", f"http://127.0.0.1:{port}", home=home)
    assert done.returncode == 9
    assert f"curl http://127.0.0.1:{port}/v1/models" in done.stderr


def test_each_run_asks_new_prompts_unless_a_seed_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    asked: list[int] = []

    def stopped(*said: Any) -> None:
        asked.append(said[-1].seed)
        raise Stop

    monkeypatch.setattr("noibo.cli.bench_run.Run", stopped)
    for seed in (None, None, 7, 0):
        with pytest.raises(Stop):
            bench(vs=["http://127.0.0.1:1"], seed=seed)
    assert asked[0] != asked[1]
    assert asked[2:] == [7, 0]


def test_help_loads_nothing_that_measures() -> None:
    code = "import sys, noibo.cli.bench; print({'numpy', 'aiohttp', 'httpx2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.heavy
def test_a_model_and_a_server_side_by_side(
    server: RunningServer, home: Path, tmp_path: Path
) -> None:
    files = {kind: tmp_path / f"bench.{kind}" for kind in ("json", "csv", "html")}
    named = [part for kind, path in files.items() for part in (f"--{kind}", str(path))]
    vs = ("--vs", server.url, "--vs-model", "echo", "--vs-price", "1,2")
    done = run_noibo("bench", "echo", *vs, *SHORT, *named, home=home)
    assert (done.returncode, done.stderr) == (0, "")
    other = f"echo @ {server.url.removeprefix('http://')}"
    assert f"\n{other}, × echo\n" in done.stdout
    assert "all callers, tok/s" in done.stdout
    assert "8 of 100" in done.stdout  # no p99 of eight answers
    assert "The bench itself took" in done.stdout
    found = json.loads(files["json"].read_text())
    assert [side["name"] for side in found["sides"]] == ["echo", other]
    assert found["sides"][0]["memory_bytes"] > 2**20
    assert [row["answers"] for row in found["measured"]] == [8, 8, 8, 8]
    assert found["measured"][1]["cost"]["electricity"] is None
    with files["csv"].open() as lines:
        assert [row["callers"] for row in csv.DictReader(lines)] == ["1", "1", "2", "2"]
    assert files["html"].read_text().startswith("<!doctype html>")


@pytest.mark.heavy
def test_a_server_is_started_where_none_runs(home: Path, port: int, no_process_left: str) -> None:
    done = run_noibo("bench", "echo", *SHORT, home=home, NOIBO_SERVER_PORT=str(port))
    try:
        assert done.returncode == 0, done.stderr
        assert "Started a noibo server in the background" in done.stderr
    finally:
        run_noibo("stop", home=home, NOIBO_SERVER_PORT=str(port))


@pytest.mark.heavy
def test_a_model_that_is_not_there_is_said(server: RunningServer, home: Path) -> None:
    ours = run_noibo("bench", "no-such-model", *SHORT, home=home)
    assert ours.returncode == 10
    assert "no-such-model" in ours.stderr
    theirs = run_noibo("bench", "--vs", server.url, "--vs-model", "none", *SHORT, home=home)
    assert theirs.returncode == 3
    assert f"curl {server.url}/v1/models" in theirs.stderr
    assert theirs.stdout == ""


def benching(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "noibo", "bench", *arguments, *LONG],
        env=clean_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def written(server: RunningServer) -> int:
    with server.client() as client:
        return sum(row.tokens_out for row in client.workers())


@pytest.mark.heavy
def test_ctrl_c_prints_and_writes_what_was_measured(
    server: RunningServer, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bench.json"
    process = benching(home, "echo", "--json", str(path))
    until(lambda: written(server) > 4 * ROUND, "three rounds are through")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "Stopped after " in out
    found = json.loads(path.read_text())
    assert 3 <= found["rounds_done"] < 100_000
    assert found["measured"][0]["figures"]["rate"]["value"] > 0


@pytest.mark.heavy
def test_a_server_that_dies_midway_costs_nothing_that_was_measured(
    server: RunningServer, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bench.json"
    process = benching(home, "--vs", server.url, "--vs-model", "echo", "--json", str(path))
    until(lambda: written(server) > 4 * ROUND, "three rounds are through")
    server.process.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 9, err
    assert "no server answers" in err
    assert "was asked no more: unreachable" in out
    assert json.loads(path.read_text())["measured"][0]["answers"] >= 3 * 20


@pytest.mark.heavy
def test_a_server_of_ours_with_tls_and_keys_is_benched_without_asking_for_either(
    home: Path, tmp_path: Path
) -> None:
    own = Signed(tmp_path, "own")
    with RunningServer(home, NOIBO_SERVER_REQUIRE_KEY="1", **own.settings()) as server:
        done = run_noibo("bench", "echo", *SHORT, home=home)
        assert (done.returncode, done.stderr) == (0, "")
        refused = run_noibo("bench", "--vs", server.url, "--vs-model", "echo", home=home)
    assert refused.returncode == 9
    assert "certificate" in refused.stderr.lower()


@pytest.mark.heavy
def test_a_refused_key_names_the_option_for_it(home: Path) -> None:
    with RunningServer(home, NOIBO_SERVER_REQUIRE_KEY="1") as server:
        vs = ("--vs", server.url, "--vs-model", "echo", "--vs-key-env", "WRONG")
        done = run_noibo("bench", *vs, *SHORT, home=home, WRONG="sk-hunter2")
    assert done.returncode == 4
    assert "--vs-key-env" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
