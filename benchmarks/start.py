"""How fast things start: `noibo --help`, a server, against the bare interpreter.

Aims: `--help` within 0.25 s, a server ready within 2 s. The floor is `python -c pass`; a peer for
the command line is `pip --version`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 7
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "noibo --help": [sys.executable, "-m", "noibo", "--help"],
    "noibo list": [sys.executable, "-m", "noibo", "list"],
    "pip --version": [sys.executable, "-m", "pip", "--version"],
}


def seconds(command: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environ, check=True)
    return time.perf_counter() - began


def until_ready(environ: dict[str, str]) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "noibo", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        took = time.perf_counter() - began
        server.terminate()
    return took


def run() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"NOIBO_HOME": home}
        took: dict[str, list[float]] = {name: [] for name in (*COMMANDS, "server ready")}
        for _ in range(ROUNDS):
            for name, command in COMMANDS.items():
                took[name].append(seconds(command, environ))
            took["server ready"].append(until_ready(environ))
    floor = statistics.median(took["python -c pass"])
    middle = {name: statistics.median(values) for name, values in took.items()}
    print("  " + "name".ljust(16) + "median s   × python")
    for name, value in middle.items():
        print(f"  {name:<16}{value:<10.3f} {value / floor:.1f}")
    return middle
