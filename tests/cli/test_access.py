"""`noibo key` and `noibo user`: with a server and without one, the same words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.access.api_key import parts
from noibo.cli.access import _seconds
from noibo.errors import UsageError
from tests.running import RunningServer, run_noibo

WORD = "a long password\n"
Done = subprocess.CompletedProcess[str]


def key(home: Path, *arguments: str) -> Done:
    return run_noibo("key", *arguments, home=home)


def good(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=[pytest.param("with a server", marks=pytest.mark.heavy), "alone"])
def place(request: pytest.FixtureRequest, home: Path) -> Iterator[Path]:
    """A home, in which a server runs or not."""
    if request.param == "alone":
        yield home
        return
    with RunningServer(home):
        yield home


@pytest.mark.heavy
def test_a_key_is_printed_alone_and_once(place: Path) -> None:
    assert "no key yet" in good(key(place, "list"))
    done = key(place, "create", "alice-laptop", "--model", "qwen*,smollm2*", "--route", "ask")
    assert parts(good(done).strip()) is not None  # nothing else: for a script
    assert "shown once" in done.stderr
    said = good(key(place, "list"))
    assert done.stdout.strip() not in said
    assert done.stdout.strip().rpartition("_")[2] not in said
    for word in ("alice-laptop", "user", "qwen* smollm2*", "ask", "never", "holds"):
        assert word in said
    (row,) = json.loads(good(key(place, "list", "--json")))
    assert (row["models"], row["routes"]) == (["qwen*", "smollm2*"], ["ask"])
    again = key(place, "create", "alice-laptop")
    assert again.returncode != 0
    assert "There is a key called 'alice-laptop' already." in again.stderr
    gone = good(key(place, "revoke", row["id"]))
    assert gone == f"The key 'alice-laptop' ({row['id']}) holds no more.\n"
    assert "revoked" in good(key(place, "list"))
    none = key(place, "revoke", "alice-laptop")
    assert "There is no key 'alice-laptop' that holds." in none.stderr
    assert none.returncode != 0


@pytest.mark.heavy
def test_users_and_their_keys(place: Path) -> None:
    assert "no user yet" in good(run_noibo("user", "list", home=place))
    added = run_noibo("user", "add", "an", "--role", "developer", home=place, stdin=WORD)
    assert good(added) == "an may sign in as developer.\n"
    made = json.loads(good(key(place, "create", "an-1", "--user", "an", "--json")))
    assert made["row"]["user"] == "an"
    twice = run_noibo("user", "add", "an", home=place, stdin=WORD)
    assert "There is a user 'an' already." in twice.stderr
    short = run_noibo("user", "password", "an", home=place, stdin="short\n")
    assert "10 to 1024 characters" in short.stderr
    assert "another password" in good(
        run_noibo("user", "password", "an", home=place, stdin="another long one\n")
    )
    assert good(run_noibo("user", "role", "an", "user", home=place)) == "an is user now.\n"
    assert "user" in good(run_noibo("user", "list", home=place))
    assert "what an stored stays" in good(run_noibo("user", "rm", "an", home=place))
    assert "revoked" in good(key(place, "list"))


WRONG: list[tuple[list[str], str]] = [
    (["create", "x", "--role", "root"], "no role 'root'"),
    (["create", "x", "--route", "v1/models"], "neither a path nor a permission"),
    (["create", "x", "--user", "nobody"], "no user 'nobody'"),
    (["create", "x" * 81], "80 "),
    (["create", "a\nb"], "printable"),
    (["create", " "], "printable"),
    (["create", "x", "--expires", "soon"], "no length of time"),
    (["create", "x", "--expires", "infd"], "no length of time"),
    (["create", "x", "--expires", "0s"], "lasts"),
    (["create", "x", "--expires", "999999999w"], "lasts"),
]


@pytest.mark.heavy
@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_what_is_wrong_is_said_without_a_server(
    home: Path, arguments: list[str], words: str
) -> None:
    done = key(home, *arguments)
    assert done.returncode == (3 if "nobody" in arguments else 2), done
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.heavy
def test_what_is_wrong_is_said_by_a_server(home: Path) -> None:
    with RunningServer(home):
        for arguments, words in WRONG:
            done = key(home, *arguments)
            assert done.returncode == (3 if "nobody" in arguments else 2), done
            assert words in done.stderr
            assert "Traceback" not in done.stderr
        assert json.loads(good(key(home, "list", "--json"))) == []


@pytest.mark.parametrize(
    ("said", "seconds"), [("90m", 5400), ("12h", 43200), ("30d", 2592000), ("8w", 4838400)]
)
def test_lengths_of_time(said: str, seconds: float) -> None:
    assert _seconds(said) == seconds


@pytest.mark.parametrize("said", ["", "d", "5", "1.5h", "-1d", "infd", "nand", "1y", "٣d x", "1 d"])
def test_what_is_no_length_of_time(said: str) -> None:
    with pytest.raises(UsageError, match="no length of time"):
        _seconds(said)


def test_a_key_made_here_holds_in_the_server_that_starts_then(home: Path) -> None:
    made = good(key(home, "create", "laptop", "--model", "mean*")).strip()
    with RunningServer(home) as server:
        bearer = {"Authorization": f"Bearer {made}"}

        def asked(model: str) -> int:
            body: dict[str, Any] = {"model": model, "prompt": "a"}
            url = server.url + "/v1/completions"
            return httpx2.post(url, json=body, headers=bearer, timeout=30).status_code

        assert asked("echo") == 403
        good(key(home, "revoke", "laptop"))
        assert asked("echo") == 401  # with the very next request
