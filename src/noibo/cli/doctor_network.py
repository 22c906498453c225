"""What `noibo doctor` finds out about the server, its port, and the way outward."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import psutil

import noibo
from noibo.cli.background import connect
from noibo.cli.doctor_checks import Finding, Level
from noibo.errors import EgressRefused, ServerBusy, ServerUnreachable
from noibo.settings import Settings


def server(tree: Settings) -> Iterator[Finding]:
    """Whether a server runs, else whether one could."""
    try:
        with connect(tree) as client:
            url, status = client.base_url, client.status()
    except ServerBusy as error:
        said = f"{error.message} The port is held by {_holder(tree)}."
        yield Finding(Level.PROBLEM, said, error.next_step)
        return
    except ServerUnreachable:
        yield _port(tree)
        return
    said = f"noibo {status.noibo} serves on {url} (pid {status.pid})"
    if status.noibo != noibo.__version__:
        said += f", but this is noibo {noibo.__version__}."
        yield Finding(Level.WARNING, said, "Stop the old one: `noibo stop`.")
    else:
        yield Finding(Level.OK, said)


def _port(tree: Settings) -> Finding:
    host, port = tree.server.host, tree.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                said = f"Port {port} on {host} is taken by {_holder(tree)}."
            else:
                said = f"noibo cannot listen on {host}:{port}: {exc.strerror}."
            step = "Choose another: server.port in noibo.toml, or NOIBO_SERVER_PORT."
            return Finding(Level.PROBLEM, said, step)
    return Finding(Level.OK, f"none runs; port {port} on {host} is free for one")


def _holder(tree: Settings) -> str:
    """Who listens on our port, as far as the system tells."""
    try:
        for one in psutil.net_connections("tcp"):
            at = one.laddr[1] if one.laddr and one.status == psutil.CONN_LISTEN else None
            if one.pid and at == tree.server.port:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    except psutil.Error:
        pass
    return "another program"


def offline(tree: Settings) -> Iterator[Finding]:
    """Whether the door outward is shut."""
    if tree.offline:
        yield Finding(
            Level.OK, f"offline = true ({tree.sources['offline']}): nothing leaves this machine"
        )
    else:
        yield Finding(
            Level.OK, "offline = false: noibo connects outward only for what you ask it to fetch"
        )


def package_index_unasked(tree: Settings) -> Iterator[Finding]:
    """Nothing leaves the machine without being asked for."""
    yield Finding(Level.OK, "the package index was not asked; `noibo doctor --online` does")


def package_index(tree: Settings) -> Iterator[Finding]:
    """The index that pip is set to has what the catalogue names."""
    from noibo.assembly import open_door
    from noibo.modelstore import catalog
    from noibo.modelstore.index import pip_settings
    from noibo.modelstore.index.package_index import PackageIndex
    from noibo.modelstore.origin import Package, reference_of

    choice = catalog.load().resolve(reference_of(tree.default_model))
    packages = [o.origin for o in choice.origins if isinstance(o.origin, Package)] if choice else []
    if not packages:
        yield Finding(Level.OK, f"{tree.default_model} does not come from the package index")
        return
    source = packages[0]
    pip = replace(pip_settings.read(), retries=0)
    try:
        with PackageIndex(open_door(tree), pip) as index:
            link = next(index.find(source.package, source.version))
    except EgressRefused as error:
        yield Finding.of(error, Level.WARNING)
        return
    yield Finding(
        Level.OK, f"the package index answers: {source.package} {source.version} at {link.shown}"
    )
