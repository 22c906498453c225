"""Watches a process and all its descendants from outside, by their system calls.

`strace` writes down every call that names another address. Here its words are read: which address
each named. Tried counts as done: a connection that failed was meant to leave.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = "connect,sendto,sendmsg,sendmmsg,io_uring_setup"
INSIDE = {"AF_UNIX", "AF_LOCAL", "AF_NETLINK", "AF_UNSPEC"}  # these never leave the machine
ADDRESS = "10.55.0.1"  # of the namespaces' own: no packet to it leaves them

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)")
_UNFINISHED = re.compile(r"(?P<begun>.*?)[ ,]*<unfinished \.\.\.>$")
_STRING = re.compile(r'(?P<before>inet_addr\(|inet_pton\(AF_INET6, )?"(?P<text>(?:[^"\\]|\\.)*)"')
_FAMILY = re.compile(r"sa_family=(?P<family>\w+)")
_INET = re.compile(
    r"sa_family=AF_INET, sin_port=htons\((?P<port>\d+)\), sin_addr=inet_addr\(<(?P<host>[\d.]+)>\)"
)
_INET6 = re.compile(
    r"sa_family=AF_INET6, sin6_port=htons\((?P<port>\d+)\), .*?"
    r"inet_pton\(AF_INET6, <(?P<host>[\w:.]+)>"
)


@dataclass(frozen=True, slots=True)
class Contact:
    """One address that a call named. `host` is empty where it could not be read."""

    call: str
    family: str
    host: str = ""
    port: int = 0

    @property
    def stays_here(self) -> bool:
        """True if nothing can leave the machine by it."""
        if self.family in INSIDE:
            return True
        if self.family not in {"AF_INET", "AF_INET6"} or not self.host:
            return False
        address = ipaddress.ip_address(self.host)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        return f"{self.call} {self.family} {self.host or '?'} port {self.port}"


class Watch:
    """What one run of a program, with all its descendants, named as addresses."""

    def __init__(self, log: Path) -> None:
        self._log = log
        # Every process and thread, nothing abbreviated. No ring is given to anybody (uvloop asks
        # for some, and does without): a connection made in one would be no system call.
        self.command = ("strace", "-f", "--seccomp-bpf", "-qq", "-v", "-o", str(log))
        self.command += ("-e", f"trace={CALLS}", "-e", "inject=io_uring_setup:error=ENOSYS")

    def contacts(self) -> list[Contact]:
        """Every address named, in order."""
        return list(contacts(self._log.read_text(errors="replace")))

    def inet(self) -> list[Contact]:
        """Those of the Internet's families, loopback too."""
        return [one for one in self.contacts() if one.family.startswith("AF_INET")]

    def departures(self, declared: Collection[tuple[str, int]] = ()) -> list[Contact]:
        """What was neither loopback nor declared."""
        return [
            one
            for one in self.contacts()
            if not one.stays_here and (one.host, one.port) not in declared
        ]


def contacts(log: str) -> Iterator[Contact]:
    """The addresses in what strace wrote."""
    for call, words in _calls(log):
        if call == "io_uring_setup":
            if not words.rpartition(" = ")[2].startswith("-"):
                yield Contact(call, "hidden")
            continue
        families = [match["family"] for match in _FAMILY.finditer(words)]
        if call == "connect" and not families:
            yield Contact(call, "unreadable")
        parts = words.split("sa_family=")[1:]
        for family, part in zip(families, parts, strict=True):
            yield _contact(call, family, f"sa_family={part}")


def _contact(call: str, family: str, part: str) -> Contact:
    found = {"AF_INET": _INET, "AF_INET6": _INET6}.get(family, re.compile("$^")).match(part)
    return (
        Contact(call, family, found["host"], int(found["port"])) if found else Contact(call, family)
    )


def _calls(log: str) -> Iterator[tuple[str, str]]:
    """Name and words of each call; one that was interrupted by others is put together again."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        pid, rest = match["pid"], _without_texts(match["rest"])
        if rest.startswith(("+++", "---")):
            continue
        if resumed := _RESUMED.fullmatch(rest):
            rest = begun.pop(pid, resumed["call"] + "(") + resumed["rest"]
        elif unfinished := _UNFINISHED.fullmatch(rest):
            begun[pid] = unfinished["begun"]
            continue
        yield rest.partition("(")[0], rest
    for rest in begun.values():  # the process ended in the middle of it
        yield rest.partition("(")[0], rest


def _without_texts(line: str) -> str:
    """The line without what was sent: a text may say anything, an address too."""
    return _STRING.sub(
        lambda found: f"{found['before']}<{found['text']}>" if found["before"] else "<>", line
    )


def declared_in(record: Path) -> set[tuple[str, int]]:
    """Host and port of each departure that noibo itself wrote down in `egress.jsonl`."""
    if not record.exists():
        return set()
    found = set()
    for line in record.read_text().splitlines():
        row = json.loads(line)
        if row["kind"] == "departure":
            host, _, port = row["destination"].rpartition("//")[2].rpartition(":")
            found.add((host.strip("[]"), int(port)))
    return found


def in_a_namespace(*served: str) -> tuple[str, ...]:
    """A command before a command: it runs in a network of its own that leads nowhere.

    `served`, if given, are a folder and a port: a web server for it, at `ADDRESS`.
    """
    rights = () if os.geteuid() == 0 else ("--map-root-user",)
    launcher = str(Path(__file__).with_name("namespace.py"))
    return ("unshare", "--net", *rights, sys.executable, launcher, *(served or ("-", "0")))


def why_not() -> str:
    """Why nothing can be watched on this machine; empty where it can."""
    if sys.platform != "linux":
        return "watching needs Linux"
    for program, package in (("strace", "strace"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install {package}"
    tried = subprocess.run(
        [*in_a_namespace(), "strace", "-f", "-o", os.devnull, "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        return f"strace in a network namespace is not allowed here: {tried.stderr.strip()}"
    return ""
