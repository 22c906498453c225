"""`noibo`: the list of commands, and errors as messages with a next step and an exit code.

A command's module is imported when the command is called, so `noibo --help` costs an interpreter
and little else. That its summary here is the command's own first line is tested.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import noibo
from noibo.cli.context import use_config
from noibo.cli.terminal import say_error, say_what_can_be_said
from noibo.errors import NoiboError

# name → (module, function or Typer app, summary)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("serve", "serve", "Serve models to every client on this machine."),
    "run": ("run", "run", "Talk to a model; reads a prompt from a pipe too."),
    "pull": ("models", "pull", "Fetch a model."),
    "add": ("models", "add", "Use a GGUF file where it lies, without a copy."),
    "list": ("models", "list_models", "List the models on this machine."),
    "show": ("models", "show", "Show what is known about a model."),
    "rm": ("models", "rm", "Remove a model."),
    "store": ("store", "app", "Check, clean and measure the model store."),
    "import": (
        "importing",
        "import_models",
        "Use what Ollama, LM Studio and the HF cache have, without a copy.",
    ),
    "catalog": ("catalog", "catalog", "Compare the models noibo knows."),
    "search": ("catalog", "search", "Find models in the catalogue and on the hub."),
    "fit": ("fit", "fit", "Say whether a model will run here, how large and how fast."),
    "inspect": ("inspect", "inspect", "Show what is in a GGUF file, before any engine sees it."),
    "hardware": ("hardware", "hardware", "Show and measure processor, memory, GPUs and disk."),
    "recommend": ("recommend", "recommend", "Say which models suit this machine, and why."),
    "ps": ("workers", "ps", "List the models that are loaded, and who waits for them."),
    "top": ("top", "top", "Watch workers, memory, queue and tokens per second."),
    "load": ("workers", "load", "Load a model before it is asked for."),
    "stop": ("workers", "stop", "Unload a model, or stop the server."),
    "route": ("route", "app", "Show which model would answer, and why."),
    "bench": ("bench", "bench", "Measure how fast models answer under load, and what that costs."),
    "key": ("access", "key", "Give out and revoke API keys."),
    "user": ("access", "user", "Add and remove the users of this server."),
    "usage": ("usage", "app", "Show what answers cost, and what answering here saved."),
    "privacy": (
        "privacy",
        "app",
        "Show what left this machine; export, erase what is kept of a person.",
    ),
    "engines": (
        "engines",
        "app",
        "List the engines that run models, and what each can do here.",
    ),
    "config": ("config", "app", "Show the settings."),
    "llm": ("llm", "app", "Set up and try a model for programs that have no server."),
    "doctor": ("doctor", "doctor", "Check that everything noibo needs works here."),
}

ALIASES = {"ls": "list"}  # what fingers type; not in the list of commands


class _Later(TyperCommand):
    """A command that is imported when it is called."""

    def __init__(
        self, name: str, module: str, attribute: str, summary: str, *, hidden: bool = False
    ) -> None:
        super().__init__(name, help=summary, hidden=hidden)
        self._where = (module, attribute)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        module, attribute = self._where
        found = getattr(importlib.import_module(f"noibo.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(self.name)(found)
            found = app
        real = typer.main.get_command(found)
        real.name = self.name
        return real.make_context(*args, **kwargs)


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Known to Typer, so that it can name the nearest one to a wrong name.
        self.commands = {name: _Later(name, *where) for name, where in COMMANDS.items()}
        for name, meant in ALIASES.items():
            self.commands[name] = _Later(name, *COMMANDS[meant], hidden=True)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"noibo {noibo.__version__}")
        raise typer.Exit


@app.callback()
def _global(
    config: Annotated[
        Path | None, typer.Option(help="Settings file instead of noibo.toml.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version)
    ] = False,
) -> None:
    """noibo: private AI on your own machines."""
    use_config(config)


def main() -> None:
    """Run the command line; the only place that turns errors into words and exit codes."""
    say_what_can_be_said()
    try:
        app()
    except NoiboError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `noibo list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
