"""Run by `unshare --net`: gives the new network its two addresses, then runs a command in it.

python namespace.py FOLDER PORT COMMAND…     FOLDER is served at 10.55.0.1:PORT; `-` for none
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import socket
import struct
import subprocess
import sys
import threading

ADDRESS = "10.55.0.1"
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 0x1


def bring_up() -> None:
    """Loopback, and beside it an address that is not loopback but leads nowhere else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        up = struct.pack("16sH14s", b"lo", IFF_UP, b"")
        fcntl.ioctl(control, SIOCSIFFLAGS, up)
        number = socket.inet_aton(ADDRESS)
        alias = struct.pack("16sHH4s8s", b"lo:1", socket.AF_INET, 0, number, b"")
        fcntl.ioctl(control, SIOCSIFADDR, alias)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main(folder: str, port: str, *command: str) -> int:
    bring_up()
    if folder == "-":
        return subprocess.run(command, check=False).returncode
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer((ADDRESS, int(port)), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        code = subprocess.run(command, check=False).returncode
        server.shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
