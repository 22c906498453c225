"""`noibo serve`."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from noibo.cli.context import settings
from noibo.egress import is_loopback
from noibo.settings import Server, bracketed


def serve(
    model: Annotated[
        str | None, typer.Argument(help="Model to load at once; others load when asked for.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    ctx_size: Annotated[
        int | None, typer.Option(help="Context length in tokens for each caller.")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(help="Answers a model gives at the same time.")
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the model first if it is not here.")
    ] = False,
    no_web: Annotated[
        bool, typer.Option("--no-web", help="Serve APIs only; there are no pages yet anyway.")
    ] = False,
) -> None:
    """Serve models to every client on this machine."""
    tree = settings(
        server__host=host,
        server__port=port,
        engine__ctx_size=ctx_size,
        engine__parallel=parallel,
    )
    from noibo import logs, serving

    logs.setup(tree.log.level, tree.log.format)
    if fetch:
        from noibo.cli.models import fetch_if_missing

        fetch_if_missing(model or tree.default_model)
    name = model or tree.default_model
    serving.serve(tree, model, lambda url: _greet(url, name, tree.server))


def _greet(url: str, model: str, server: Server) -> None:
    host = url.rpartition(":")[0]
    too = (
        f"and for clients of Ollama on {host}:{server.ollama_port}\n" if server.ollama_port else ""
    )
    too += _to_others(url, server)
    greeting = f"""noibo is serving on {url}
{too}
Try, in another terminal:
  {_command()} run {model} "Why is the sky blue?"
  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Xin chào!"}}]}}'
Or in Python, with the official OpenAI client:
  OpenAI(base_url="{url}/v1", api_key="none")

Ctrl-C stops it.
"""
    with contextlib.suppress(OSError):  # whoever started us may have read enough
        sys.stdout.write(greeting)
        sys.stdout.flush()


def _to_others(url: str, server: Server) -> str:
    """What who is on another machine needs to know; nothing where nobody there is served."""
    if is_loopback(f"//{bracketed(server.host)}"):
        return ""
    name = platform.node() if server.host in {"0.0.0.0", "::"} else server.host  # noqa: S104
    scheme, port = url.partition(":")[0], url.rpartition(":")[2]
    said = f"and for other machines on {scheme}://{name}:{port}, with a key (`noibo key create`)\n"
    if scheme == "http":
        said += "Without TLS, keys and prompts can be read on the way: see server.tls_cert.\n"
    return said


def _command() -> str:
    """What to type for noibo here: its name, or its path where that is not on PATH."""
    if shutil.which("noibo") or Path(sys.argv[0]).name != "noibo":
        return "noibo"
    return os.path.relpath(sys.argv[0])
