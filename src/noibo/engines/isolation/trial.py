"""A process that enters the room and tries to get out: what a system really offers, for doctor.

Down standard input comes what a worker gets, and something to try at: a file and a folder outside,
a port on which somebody listens. One line of JSON goes up: what it was told it is kept from, and
which attempts succeeded all the same.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noibo.engines.isolation import room


@dataclass(frozen=True, slots=True)
class Outside:
    """What a worker must not reach."""

    file: Path
    folder: Path
    port: int


def _read(outside: Outside) -> None:
    outside.file.read_bytes()


def _write(outside: Outside) -> None:
    (outside.folder / "written").touch()


def _connect(outside: Outside) -> None:
    socket.create_connection(("127.0.0.1", outside.port), timeout=5).close()


def _send(outside: Outside) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"noibo", ("127.0.0.1", outside.port))


ATTEMPTS: dict[str, Callable[[Outside], None]] = {
    "read other files": _read,
    "write other files": _write,
    "connect to other programs": _connect,
    "send over UDP": _send,
}


def _succeeds(attempt: Callable[[Outside], None], outside: Outside) -> bool:
    try:
        attempt(outside)
    except OSError:
        return False
    return True


def main() -> None:
    config: dict[str, Any] = json.load(sys.stdin)
    outside = Outside(Path(config["file"]), Path(config["folder"]), config["port"])
    kept = room.enter(config["isolation"])
    can = [name for name, attempt in ATTEMPTS.items() if _succeeds(attempt, outside)]
    sys.stdout.write(json.dumps({"kept": kept.as_facts(), "can": can}) + "\n")


if __name__ == "__main__":
    main()
