"""`noibo run`: one question from the command line or a pipe, or a conversation."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from noibo.cli.background import connect_or_start
from noibo.cli.context import settings
from noibo.cli.note import Note
from noibo.cli.terminal import say
from noibo.client import Answer, Client
from noibo.errors import RequestFailed, UsageError


def run(
    model: Annotated[
        str | None, typer.Argument(help="Model; none: the default one from the settings.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Argument(help="What to ask; none: a conversation.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 for the likeliest answer.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same answer.")] = None,
) -> None:
    """Talk to a model; reads a prompt from a pipe too."""
    tree = settings()
    name = model or tree.default_model
    asked = _prompt(prompt)
    if asked is not None and not asked.strip():
        raise UsageError("There is nothing to ask.", next_step='noibo run MODEL "your question"')
    client = connect_or_start(tree)
    _fetch_if_missing(client, name)
    given = {"temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    fields = {key: value for key, value in given.items() if value is not None}
    if asked is None:
        from noibo.cli.repl import Repl

        Repl(client, name, system, fields, tree.home).loop()
        return
    _ask_once(client, name, system, asked, fields)


def _prompt(words: list[str] | None) -> str | None:
    """The words after the model, and what comes from a pipe; None for a conversation."""
    typed = " ".join(words) if words else None
    if sys.stdin is None or sys.stdin.isatty():
        return typed
    piped = sys.stdin.buffer.read().decode(errors="replace").strip()
    return "\n\n".join(part for part in (typed, piped) if part)


def _fetch_if_missing(client: Client, name: str) -> None:
    if name in client.models() or name == "echo":
        return
    from noibo.cli.models import fetch_if_missing

    fetch_if_missing(name)


def _ask_once(
    client: Client, model: str, system: str | None, prompt: str, fields: dict[str, Any]
) -> None:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    answer, note = Answer(), Note()
    try:
        for piece in client.stream(messages, model, answer, note, **fields):
            note.clear()
            say(piece)
    finally:
        note.clear()
        if answer.text and not answer.text.endswith("\n"):
            print()
    if answer.finish_reason is None:
        raise RequestFailed("The answer broke off.", http_status=502)
