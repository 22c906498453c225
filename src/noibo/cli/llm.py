"""`noibo llm`: what a program with `noibo.llm_service` in it needs before it runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Set up and try a model for programs that have no server.",
)


@app.callback()
def _group() -> None:
    """Set up and try a model for programs that have no server."""


@app.command()
def setup(
    model: Annotated[
        str | None,
        typer.Argument(
            help="GGUF file, folder that holds one, or what `noibo pull` takes; none: what the "
            "settings say.",
            show_default=False,
        ),
    ] = None,
    quantization: Annotated[
        Literal["8bit", "4bit", "none"] | None,
        typer.Option(help="8bit: Q8_0, 4bit: Q4_K_M, none: as it was trained."),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Context length in tokens.", min=0, show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Overwrite settings without asking.")
    ] = False,
) -> None:
    """Look at the machine, fetch the model where it is not here, and write the settings."""
    from noibo.cli.llm_setup import set_up

    set_up(model, quantization, max_length, overwrite=yes)


@app.command()
def test(
    model: Annotated[
        str | None,
        typer.Argument(
            help="GGUF file, folder, or name; none: what the settings say.", show_default=False
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Tokens of an answer, at most.", min=1)] = 64,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load the model, ask it, stream an answer, and say how long each took."""
    from noibo.cli.llm_trial import try_out

    if not try_out(model or "", max_tokens, json=json):
        raise typer.Exit(1)
