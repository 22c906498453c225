"""A worker's process that tries to get out of its room: every function here is one attempt.

Started with a configuration that has no room, it does the same things in the open. Arguments are
system calls to hide from it first, as on a kernel that does not have them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from noibo.engines.child import announce, read_config, ready
from noibo.engines.isolation import seccomp
from noibo.engines.isolation.refusals import Refusal
from noibo.engines.isolation.system_calls import call, renounce_new_privileges

Config = dict[str, Any]
MSG_FASTOPEN = 0x20000000
PTRACE, PTRACE_SEIZE, PTRACE_DETACH = (101, 117), 0x4206, 17
IO_URING_SETUP = 425


# ── network ─────────────────────────────────────────────────────────────────


def connect_over_tcp(config: Config) -> None:
    socket.create_connection(("127.0.0.1", config["port"]), 5).close()


def connect_by_name(config: Config) -> None:
    socket.create_connection(("localhost", config["port"]), 5).close()


def connect_with_the_first_data(config: Config) -> None:
    with socket.socket() as tcp:
        tcp.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", config["port"]))


def connect_with_the_first_message(config: Config) -> None:
    with socket.socket() as tcp:
        tcp.sendmsg([b"x"], [], MSG_FASTOPEN, ("127.0.0.1", config["port"]))


def send_over_udp(config: Config) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("127.0.0.1", config["port"]))


def listen_on_a_port_of_choice(config: Config) -> None:
    socket.create_server(("127.0.0.1", config["free_port"])).close()


def connect_to_a_local_service(config: Config) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(config["service"])


def connect_to_an_abstract_service(config: Config) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect("\0" + config["abstract"])


def send_to_a_local_service_from_a_pair(config: Config) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"x", config["datagrams"])


def ask_the_kernel_for_routes(config: Config) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


def open_a_queue_of_calls(config: Config) -> None:
    try:
        call(IO_URING_SETUP, 1, None)
    except OSError as exc:
        if exc.errno != errno.EFAULT:  # it looked at what we gave: it may be called
            raise


# ── files ───────────────────────────────────────────────────────────────────


def read_a_key(config: Config) -> None:
    Path(config["key"]).read_text()


def read_a_key_in_a_thread(config: Config) -> None:
    failed: list[Exception] = []

    def read() -> None:
        try:
            read_a_key(config)
        except OSError as exc:
            failed.append(exc)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def read_a_key_in_another_program(config: Config) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; open(sys.argv[1])", config["key"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert "PermissionError" in done.stderr, done.stderr
        raise PermissionError(errno.EACCES, "in the child")


def read_a_key_by_a_link(config: Config) -> None:
    link = Path("link-to-read")
    link.symlink_to(config["key"])
    link.read_text()


def read_a_key_by_a_second_name(config: Config) -> None:
    os.link(config["key"], "second-name")


def list_a_folder(config: Config) -> None:
    list(Path(config["home"]).iterdir())


def write_beside_the_key(config: Config) -> None:
    (Path(config["home"]) / "new").write_text("x")


def cut_the_key_short(config: Config) -> None:
    os.truncate(config["own_copy"], 0)


def remove_a_file(config: Config) -> None:
    Path(config["removable"]).unlink()


def open_a_file_to_others(config: Config) -> None:
    Path(config["key"]).chmod(0o644)


def run_what_it_wrote(config: Config) -> None:
    written = os.open("program", os.O_CREAT | os.O_WRONLY, 0o700)
    os.write(written, b"#!/bin/sh\nexit 0\n")
    os.close(written)
    subprocess.run([str(Path("program").absolute())], check=True)


def fill_the_disk(config: Config) -> None:
    with Path("large").open("wb") as file:
        file.truncate(300 * 2**20)


# ── other processes, limits ─────────────────────────────────────────────────


def read_the_environment_of_another(config: Config) -> None:
    assert b"A_SECRET" in Path(f"/proc/{config['victim']}/environ").read_bytes()


def open_the_memory_of_another(config: Config) -> None:
    Path(f"/proc/{config['victim']}/mem").open("rb").close()


def trace_another(config: Config) -> None:
    number = PTRACE[seccomp.SECCOMP["x86_64"] != seccomp.SECCOMP[os.uname().machine]]
    call(number, PTRACE_SEIZE, config["victim"], 0, 0)


def signal_another(config: Config) -> None:
    os.kill(config["victim"], 0)


def bound_another(config: Config) -> None:
    resource.prlimit(config["victim"], resource.RLIMIT_NOFILE)


def take_all_memory(config: Config) -> None:
    bytes(2**30)  # never touched: in the open this takes no real memory


def take_all_files(config: Config) -> None:
    opened = []
    try:
        for _ in range(100):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for one in opened:
            os.close(one)


def listen_once_it_serves(config: Config) -> None:
    ready(config)
    socket.create_server(("127.0.0.1", 0)).close()


# ── what an engine needs ────────────────────────────────────────────────────


def read_its_model(config: Config) -> None:
    assert Path(config["model"]).read_text() == "weights"


def write_in_its_folder(config: Config) -> None:
    Path("cache").mkdir()
    (Path("cache") / "one").write_text("x")
    (Path("cache") / "one").rename("two")
    Path("two").unlink()


def listen_and_answer(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        announce("listening", port=server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(100))


def talk_to_itself_in_a_pair(config: Config) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


def start_a_program(config: Config) -> None:
    subprocess.run([sys.executable, "-c", "import json, ctypes"], check=True)


def see_the_hardware(config: Config) -> None:
    assert "processor" in Path("/proc/cpuinfo").read_text()
    assert list(Path("/sys/devices/system/cpu").iterdir())
    os.urandom(8)
    Path("/dev/null").write_text("x")


def signal_itself(config: Config) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)


NEEDS: list[Callable[[Config], None]] = [
    read_its_model,
    write_in_its_folder,
    listen_and_answer,
    talk_to_itself_in_a_pair,
    start_a_program,
    see_the_hardware,
    signal_itself,
]
ESCAPES: list[Callable[[Config], None]] = [
    connect_over_tcp,
    connect_by_name,
    connect_with_the_first_data,
    connect_with_the_first_message,
    send_over_udp,
    listen_on_a_port_of_choice,
    connect_to_a_local_service,
    connect_to_an_abstract_service,
    send_to_a_local_service_from_a_pair,
    ask_the_kernel_for_routes,
    open_a_queue_of_calls,
    read_a_key,
    read_a_key_in_a_thread,
    read_a_key_in_another_program,
    read_a_key_by_a_link,
    read_a_key_by_a_second_name,
    list_a_folder,
    write_beside_the_key,
    cut_the_key_short,
    remove_a_file,
    open_a_file_to_others,
    run_what_it_wrote,
    fill_the_disk,
    read_the_environment_of_another,
    open_the_memory_of_another,
    trace_another,
    signal_another,
    bound_another,
    take_all_memory,
    take_all_files,
    listen_once_it_serves,  # the last: it shuts the door on the others
]


def hide(number: int) -> None:
    """From now on this kernel does not have the call."""
    renounce_new_privileges()
    seccomp.refuse([Refusal((number, number), error=errno.ENOSYS)])


def main() -> None:
    for number in sys.argv[1:]:
        hide(int(number))
    config = read_config()
    ctypes.CDLL(None)
    for attempt in NEEDS + ESCAPES:
        try:
            attempt(config)
        except (OSError, MemoryError) as exc:
            kind = errno.errorcode[exc.errno] if isinstance(exc, OSError) and exc.errno else ""
            announce("tried", what=attempt.__name__, said=kind or type(exc).__name__)
        else:
            announce("tried", what=attempt.__name__, said="done")


if __name__ == "__main__":
    main()
