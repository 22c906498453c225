"""Nothing leaves the machine undeclared: seen from outside, over server, workers and commands.

The first half proves that the watcher sees what it must; all of that happens in networks that lead
nowhere.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest

from tests.running import PATIENCE_S, RunningServer, clean_environment
from tests.watch.namespace import Quiet
from tests.watch.watching import ADDRESS, Watch, contacts, declared_in, in_a_namespace

pytestmark = [pytest.mark.watch, pytest.mark.usefixtures("no_process_left")]

Done = subprocess.CompletedProcess[str]
PORT = 8000


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Watches one run of a program."""
    return Watch(tmp_path / "calls")


def watched(watch: Watch, *command: str, inside: tuple[str, ...] = (), **environ: str) -> Done:
    """Run a command to its end, watched; `inside` a network of its own."""
    return subprocess.run(
        [*inside, *watch.command, *command],
        env=clean_environment(Path("/nowhere")) | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def noibo(watch: Watch, home: Path, *arguments: str, **environ: str) -> Done:
    """`noibo …`, watched."""
    command = (sys.executable, "-m", "noibo", *arguments)
    return watched(watch, *command, NOIBO_HOME=str(home), **environ)


# ── the watcher sees ────────────────────────────────────────────────────────

CONNECT = "import socket; socket.create_connection(('192.0.2.1', 80))"
IN_A_THREAD = f"import threading; threading.Thread(target=lambda: exec({CONNECT!r})).start()"
IN_A_DAEMON = f"import os\nif not os.fork():\n os.setsid()\n if not os.fork():\n  {CONNECT}"


def grandchild(program: str) -> str:
    """A program that runs a program that runs `program`."""
    run = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
    return run.format(run.format(program))


def udp(call: str) -> str:
    return f"import socket; u = socket.socket(type=socket.SOCK_DGRAM); {call}"


def six(host: str) -> str:
    return f"import socket; socket.socket(socket.AF_INET6).connect(({host!r}, 80))"


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        (CONNECT, "connect AF_INET 192.0.2.1 port 80"),
        (IN_A_THREAD, "connect AF_INET 192.0.2.1 port 80"),
        (IN_A_DAEMON, "connect AF_INET 192.0.2.1 port 80"),
        (grandchild(CONNECT), "connect AF_INET 192.0.2.1 port 80"),
        (grandchild(IN_A_THREAD), "connect AF_INET 192.0.2.1 port 80"),
        (six("2001:db8::1"), "connect AF_INET6 2001:db8::1 port 80"),
        (six("::ffff:192.0.2.1"), "connect AF_INET6 ::ffff:192.0.2.1 port 80"),
        (udp("u.connect(('192.0.2.1', 53))"), "connect AF_INET 192.0.2.1 port 53"),
        (udp("u.sendto(b'secret', ('192.0.2.1', 53))"), "sendto AF_INET 192.0.2.1 port 53"),
        (
            udp("u.sendmsg([b'secret'], [], 0, ('192.0.2.1', 53))"),
            "sendmsg AF_INET 192.0.2.1 port 53",
        ),
    ],
    ids=[
        "plain",
        "in a thread",
        "in a daemon",
        "in a grandchild",
        "in a grandchild's thread",
        "IPv6",
        "IPv4 in IPv6",
        "UDP connect",
        "UDP sendto",
        "UDP sendmsg",
    ],
)
def test_a_forbidden_connection_is_seen(watch: Watch, program: str, seen: str) -> None:
    watched(watch, sys.executable, "-c", program, inside=in_a_namespace())
    assert seen in [str(one) for one in watch.departures()]


def test_a_forbidden_connection_that_succeeds_is_seen(watch: Watch, tmp_path: Path) -> None:
    program = f"import socket; socket.create_connection(({ADDRESS!r}, {PORT})); print('through')"
    inside = in_a_namespace(str(tmp_path), str(PORT))
    done = watched(watch, sys.executable, "-c", program, inside=inside)
    assert done.stdout == "through\n"
    assert [str(one) for one in watch.departures()] == [f"connect AF_INET {ADDRESS} port {PORT}"]
    assert watch.departures({(ADDRESS, PORT)}) == []
    assert watch.departures({(ADDRESS, PORT + 1)}) != []


def test_a_name_that_is_looked_up_is_seen(watch: Watch) -> None:
    program = "import socket; socket.getaddrinfo('secret.example.com', 80)"
    watched(watch, sys.executable, "-c", program, inside=in_a_namespace())
    assert {one.port for one in watch.departures()} <= {53}
    named = [one for one in watch.contacts() if one.port == 53]
    assert named or watch.contacts()  # by DNS, or by a resolver of this machine


def test_loopback_and_sockets_of_this_machine_are_no_departures(watch: Watch) -> None:
    program = (
        "import contextlib, socket\n"
        "for family, address in [(socket.AF_INET, ('127.0.0.1', 9)), "
        "(socket.AF_INET6, ('::1', 9)), (socket.AF_UNIX, '/no/such/socket')]:\n"
        "  with contextlib.suppress(OSError):\n"
        "    socket.socket(family).connect(address)\n"
    )
    watched(watch, sys.executable, "-c", program, inside=in_a_namespace())
    families = {one.family for one in watch.contacts()}
    assert {"AF_INET", "AF_INET6", "AF_UNIX"} <= families
    assert watch.departures() == []


# ── the watcher reads ───────────────────────────────────────────────────────


def read(*lines: str) -> list[str]:
    return [str(one) for one in contacts("\n".join(lines))]


INET = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}'


def test_a_call_that_others_interrupted_is_put_together() -> None:
    assert read(
        f"7 connect(3, {INET}, 16 <unfinished ...>",
        '8 connect(4, {sa_family=AF_UNIX, sun_path="/x"}, 110) = 0',
        "7 <... connect resumed>) = -1 EINPROGRESS (Operation now in progress)",
    ) == ["connect AF_UNIX ? port 0", "connect AF_INET 192.0.2.1 port 80"]


def test_a_call_in_which_the_process_died_is_seen() -> None:
    assert read(f"7 connect(3, {INET}, 16 <unfinished ...>", "7 +++ killed by SIGKILL +++") == [
        "connect AF_INET 192.0.2.1 port 80"
    ]


def test_a_call_whose_beginning_was_not_seen_is_a_departure() -> None:
    (found,) = contacts("7 <... connect resumed>) = 0")
    assert not found.stays_here


def test_a_text_that_was_sent_is_not_mistaken_for_an_address() -> None:
    text = r"{sa_family=AF_INET, sin_addr=inet_addr(\"192.0.2.9\")} <unfinished ...>"
    assert read(f'7 sendto(3, "{text}", 9, 0, NULL, 0) = 9') == []
    assert read(f'7 sendto(3, "{text}", 9, 0, {INET}, 16) = 9') == [
        "sendto AF_INET 192.0.2.1 port 80"
    ]


def test_each_message_of_one_call_is_seen() -> None:
    local = INET.replace("192.0.2.1", "127.0.0.1")
    assert read(
        f"7 sendmmsg(3, [{{msg_hdr={{msg_name={local}}}}}, {{msg_name={INET}}}], 2) = 2"
    ) == [
        "sendmmsg AF_INET 127.0.0.1 port 80",
        "sendmmsg AF_INET 192.0.2.1 port 80",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "connect(3, 0x7ffd, 16) = 0",
        "connect(3, {sa_family=AF_INET, sin_port=…}, 16) = 0",
        "connect(3, {sa_family=AF_VSOCK, svm_cid=0x2}, 16) = 0",
        "io_uring_setup(64, {flags=0}) = 5",
    ],
    ids=["no address", "no number", "another family", "a ring"],
)
def test_what_cannot_be_read_counts_as_a_departure(words: str) -> None:
    (found,) = contacts(f"7 {words}")
    assert not found.stays_here


# ── the server and its workers ──────────────────────────────────────────────


@contextlib.contextmanager
def watched_server(home: Path, watch: Watch, **environ: str) -> Iterator[RunningServer]:
    """A server under the watcher, stopped so that the watch ends with it."""
    with RunningServer(home, wrapper=watch.command, **environ) as server:
        with server.client() as client:
            pid = client.status().pid
        try:
            yield server
        finally:
            psutil.Process(pid).terminate()
            server.process.wait(PATIENCE_S)


def test_the_server_and_its_workers_speak_to_nobody_outside(
    home: Path, watch: Watch, model_store: Path
) -> None:
    with watched_server(home, watch, NOIBO_STORE_PATH=str(model_store)) as server:
        said = [{"role": "user", "content": "Xin chào! https://example.com/page?"}]
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            for model in ("smollm2:135m", "echo"):
                ask = {"model": model, "messages": said, "max_tokens": 8}
                assert client.chat.completions.create(**ask).choices[0].message.content
                stream = client.chat.completions.create(**ask, stream=True)
                assert "".join(event.choices[0].delta.content or "" for event in stream)
                with pytest.raises(openai.APIStatusError):
                    client.chat.completions.create(**(ask | {"model": "gpt-4"}))
        with server.client() as own:
            assert {row.engine for row in own.workers()} == {"llama_cpp", "echo"}
    ports = {one.port for one in watch.inet()}
    assert len(ports) >= 2, "the connections to both workers were seen"
    assert watch.departures() == []
    assert declared_in(home / "egress.jsonl") == set()


# ── commands ────────────────────────────────────────────────────────────────


@pytest.mark.heavy
def test_run_and_the_server_it_starts_speak_to_nobody_outside(
    home: Path, tmp_path: Path, watch: Watch, model_store: Path
) -> None:
    environ = clean_environment(home)
    environ |= {"NOIBO_STORE_PATH": str(model_store), "NOIBO_SERVER_PORT": "0"}
    command = (sys.executable, "-m", "noibo", "run", "smollm2:135m", "Hi", "--max-tokens", "4")
    with subprocess.Popen(
        [*watch.command, *command],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline().strip()
        for number, arguments in enumerate((["ps"], ["list"], ["stop", "smollm2:135m"], ["stop"])):
            other = Watch(tmp_path / f"calls-{number}")
            assert noibo(other, home, *arguments).returncode == 0
            assert other.departures() == []
        assert run.wait(PATIENCE_S) == 0
    assert watch.inet()
    assert watch.departures() == []


@pytest.mark.heavy
@pytest.mark.parametrize("offline", ["0", "1"], ids=["online", "offline"])
def test_doctor_speaks_to_nobody_outside(
    home: Path, watch: Watch, model_store: Path, offline: str
) -> None:
    environ = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_OFFLINE": offline}
    done = noibo(watch, home, "doctor", **environ)
    assert "loaded and read a prompt" in done.stdout
    assert watch.inet()
    assert watch.departures() == []


@pytest.mark.parametrize("command", ["list", "inspect", "config show", "--help"])
def test_a_command_that_needs_nobody_makes_no_connection(
    home: Path, watch: Watch, smollm2_gguf: Path, command: str
) -> None:
    arguments = command.split() + [str(smollm2_gguf)] * (command == "inspect")
    assert noibo(watch, home, *arguments).returncode == 0
    assert watch.inet() == []
    assert watch.departures() == []


# ── pull ────────────────────────────────────────────────────────────────────


@pytest.fixture
def index(index_folder: Path, pip_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """pip's variables for an index on loopback that has the default model."""
    handler = functools.partial(Quiet, directory=str(index_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        yield pip_environment | {"PIP_INDEX_URL": url}
        server.shutdown()
        thread.join()


def test_pull_connects_to_the_index_and_to_nothing_else(
    home: Path, watch: Watch, index: dict[str, str]
) -> None:
    done = noibo(watch, home, "pull", "smollm2:135m", **index)
    assert done.returncode == 0, done.stderr
    assert watch.departures() == []
    declared = declared_in(home / "egress.jsonl")
    assert {(one.host, one.port) for one in watch.inet()} == declared
    assert len(declared) == 1


def test_offline_pull_is_refused_without_a_single_connection(
    home: Path, watch: Watch, index: dict[str, str]
) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("offline = true\n")
    done = noibo(watch, home, "pull", "smollm2:135m", **index)
    assert done.returncode == 4
    assert "noibo is offline" in done.stderr
    assert watch.inet() == []
    assert watch.departures() == []


@pytest.mark.heavy
def test_offline_run_of_a_model_that_is_not_here_makes_no_connection_outside(
    home: Path, tmp_path: Path, index: dict[str, str]
) -> None:
    with RunningServer(home, NOIBO_OFFLINE="1"):
        watch = Watch(tmp_path / "calls")
        done = noibo(watch, home, "run", "smollm2:135m", "Hi", NOIBO_OFFLINE="1", **index)
    assert done.returncode == 4
    index_port = int(index["PIP_INDEX_URL"].rpartition(":")[2].removesuffix("/simple"))
    assert index_port not in {one.port for one in watch.inet()}
    assert watch.departures() == []


@pytest.mark.heavy
def test_pull_from_an_index_that_is_not_loopback_is_declared_before_it_leaves(
    home: Path, watch: Watch, index_folder: Path, pip_environment: dict[str, str]
) -> None:
    environ = pip_environment | {
        "NOIBO_HOME": str(home),
        "PIP_INDEX_URL": f"http://{ADDRESS}:{PORT}/simple",
        "PIP_TRUSTED_HOST": ADDRESS,
    }
    command = (sys.executable, "-m", "noibo", "pull", "smollm2:135m")
    done = watched(watch, *command, inside=in_a_namespace(str(index_folder), str(PORT)), **environ)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (home / "egress.jsonl").read_text().splitlines()]
    assert {row["destination"] for row in rows} == {f"http://{ADDRESS}:{PORT}"}
    assert {row["purpose"] for row in rows} == {"package_index"}
    assert watch.departures(declared_in(home / "egress.jsonl")) == []
    assert {str(one) for one in watch.departures()} == {f"connect AF_INET {ADDRESS} port {PORT}"}
