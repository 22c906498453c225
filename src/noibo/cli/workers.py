"""`noibo ps` and `noibo stop`: what runs, and ending it."""

from __future__ import annotations

import json as jsonlib
import time
from typing import Annotated, Any

import typer

from noibo.cli.background import connect
from noibo.cli.context import settings
from noibo.errors import ServerUnreachable
from noibo.wire.management import WorkerRow


def ps(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models that are loaded."""
    try:
        with connect(settings()) as client:
            url, rows = client.base_url, client.workers()
    except ServerUnreachable:
        if json:
            print("[]")
            return
        raise
    if json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    print(f"noibo serves on {url}")
    if not rows:
        print("No model is loaded; one is when it is first asked for.")
    for row in rows:
        print("  " + _describe(row))


def stop(
    model: Annotated[str | None, typer.Argument(help="Model to unload; none: the server.")] = None,
) -> None:
    """Unload a model, or stop the server."""
    with connect(settings()) as client:
        if model:
            print(client.stop_worker(model).done)
            return
        url = client.base_url
        client.shutdown()
        _wait_until_gone(client)
        print(f"stopped the server on {url}")


def _wait_until_gone(client: Any) -> None:
    deadline = time.monotonic() + settings().server.shutdown_grace_s + 10
    while time.monotonic() < deadline:
        try:
            client.status()
        except ServerUnreachable:
            return
        time.sleep(0.05)
    raise ServerUnreachable(f"The server on {client.base_url} is still finishing its answers.")


def _describe(row: WorkerRow) -> str:
    state = row.state if row.state != "starting" else f"starting: {row.note}"
    idle = f"idle {_ago(row.used_at)}" if not row.requests else f"{row.requests} answering"
    placement = jsonlib.dumps(row.placement).strip("{}").replace('"', "")
    return (
        f"{row.model}  {row.engine}  {state}  {idle}  "
        f"{row.memory_bytes / 2**20:.0f} MiB  pid {row.pid}  {placement}"
    )


def _ago(moment: float) -> str:
    seconds = max(0, round(time.time() - moment))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
