"""`noibo ps`, `noibo load` and `noibo stop`: what runs, who waits for it, and changing that."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from noibo.cli.amounts import ago, seconds, size
from noibo.cli.background import connect, connect_or_start
from noibo.cli.context import settings
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.errors import ServerUnreachable
from noibo.wire.management import QueueRow, WaitingRow, WorkerRow

WHY: Final = {"queue": "all slots are taken", "loading": "it loads", "memory": "another's turn"}
# Of where a worker is placed, what has its own words; the rest follows as it came.
_SAID_APART: Final = frozenset({"device", "devices", "layers", "threads", "isolation"}) | {
    "context",
    "ctx_size",
    "parallel",
    "kv_type",
}


def ps(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models that are loaded, and who waits for them."""
    try:
        with connect(settings()) as client:
            url, rows, queue = client.base_url, client.workers(), client.queue()
    except ServerUnreachable:
        if json:
            _print_json({"workers": [], "queue": None})
            return
        raise
    if json:
        _print_json({"workers": rows, "queue": queue})
        return
    print(f"noibo serves on {url}")
    print(f"models hold {size(queue.held_bytes)} of the {size(queue.budget_bytes)} they may")
    if not rows:
        print("No model is loaded; one is when it is first asked for.")
    for row in rows:
        _print_worker(row)
    _print_queue(queue)


def load(
    model: Annotated[str, typer.Argument(help="Model to load.")],
    keep_alive: Annotated[
        str | None,
        typer.Option(help="How long it stays after its last answer: 90s, 1h; -1: always."),
    ] = None,
    pin: Annotated[
        bool | None, typer.Option(help="Keep it when another needs the memory, or no longer.")
    ] = None,
) -> None:
    """Load a model before it is asked for."""
    client = connect_or_start(settings())
    _print_worker(client.load(model, keep_alive, pin))


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


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value)).decode())


# ── workers ─────────────────────────────────────────────────────────────────


def _print_worker(row: WorkerRow) -> None:
    state = row.state if row.state != "starting" or not row.note else f"starting: {row.note}"
    busy = row.requests if row.slots_busy is None else max(row.requests, row.slots_busy)
    head = [row.seat, row.engine, state, f"{busy} of {row.slots} slots busy", staying(row)]
    print("  " + "  ".join(head))
    if "breaker" in row.placement:  # of another server: nothing is known of its memory here
        url, breaker = row.placement.get("url", "?"), row.placement["breaker"]
        print_paragraph(f"    asked at {url}, breaker {breaker}")
    else:
        _print_held(row)
    if row.tokens_in:
        reused = f"{100 * row.tokens_reused / row.tokens_in:.0f} % of them reused"
        print(f"    tokens: {row.tokens_in:,} in, {reused}, {row.tokens_out:,} out")


def _print_held(row: WorkerRow) -> None:
    """What it holds, and where."""
    told = [f"{size(row.memory_bytes)} held", f"{size(row.peak_bytes)} at most"]
    told.append(f"{size(row.predicted_bytes)} predicted")
    print_paragraph(f"    memory: {', '.join(told)}; pid {row.pid}")
    print_paragraph(f"    placed: {placement(row.placement)}")


def staying(row: WorkerRow) -> str:
    """`idle 5 s, stays 4 min`, `pinned, answering` …"""
    idle = "answering" if row.requests else f"idle {ago(row.used_at)}"
    if row.keep_until is None:
        stays = "" if row.requests else ", stays"
    else:
        stays = f", stays {seconds(row.keep_until - time.time())}"
    return f"{'pinned, ' if row.pinned else ''}{idle}{stays}"


def placement(placed: dict[str, Any]) -> str:
    """`cpu (30 layers, weights 97 MB), 2 threads, 4 × 2048 tokens, KV f16`, and what else an engine
    says."""
    devices = (placed.get("devices") or {}).items()
    told = [_device(name, held) for name, held in devices] or [str(placed.get("device", "?"))]
    told += [f"{placed[name]} {name}" for name in ("layers", "threads") if name in placed]
    if context := placed.get("context") or placed.get("ctx_size"):
        told.append(f"{placed.get('parallel', 1)} × {context} tokens")
    if "kv_type" in placed:
        told.append(f"KV {placed['kv_type']}")
    told += [_told(name, value) for name, value in placed.items() if name not in _SAID_APART]
    if missing := (placed.get("isolation") or {}).get("missing"):
        told.append(f"not shut off: {', '.join(map(str, missing))}")
    return ", ".join(told)


def _device(name: str, held: dict[str, Any]) -> str:
    layers = [f"{held['layers']} layers"] if "layers" in held else []
    parts = [f"{part} {size(count)}" for part, count in held.items() if part != "layers"]
    return f"{name} ({', '.join(layers + parts)})"


def _told(name: str, value: Any) -> str:
    words = name.removesuffix("_bytes").replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"{words} {size(value) if name.endswith('_bytes') else value}"


# ── the queue ───────────────────────────────────────────────────────────────

_COLUMNS: Final = [
    Column("place", right=True),
    Column("caller", most=24),
    Column("priority"),
    Column("waited", right=True),
    Column("expected", right=True),
    Column("model", most=30),
    Column("why"),
]


def _print_queue(queue: QueueRow) -> None:
    if not queue.waiting:
        print("Nobody waits.")
        return
    print(f"Waiting: {len(queue.waiting)}, at most {queue.longest}")
    print_table(_COLUMNS, [_cells(row) for row in queue.waiting])


def _cells(row: WaitingRow) -> list[str]:
    expected = "?" if row.expected_s is None else seconds(row.expected_s)
    return [
        str(row.place),
        row.caller,
        row.priority,
        seconds(row.waited_s),
        expected,
        row.model,
        WHY.get(row.why, row.why),
    ]
