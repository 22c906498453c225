"""`noibo engines install` and `remove`: builds of engines in environments of their own."""

from __future__ import annotations

import contextlib
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from noibo.cli.amounts import ago, seconds, size
from noibo.cli.background import connect
from noibo.cli.context import settings
from noibo.cli.engines_progress import Told
from noibo.cli.table import Column, print_table
from noibo.errors import ModelNotFound, NoiboError, RequestFailed, ServerUnreachable
from noibo.modelstore.printable import shown
from noibo.settings import Settings

if TYPE_CHECKING:
    from noibo.engines.environments.environment import Environment
    from noibo.engines.environments.installing import Installer
    from noibo.engines.environments.recipe import Recipe
    from noibo.wire.management import WorkerRow

Concerned: TypeAlias = Callable[["WorkerRow"], bool]

BUILDS: Final = "cuda, rocm, vulkan, native, vllm or transformers."
_INSTALLED: Final = [
    Column("installed"),
    Column("version"),
    Column("for", most=30),
    Column("trusted"),
    Column("size"),
]


def install(
    build: Annotated[str, typer.Argument(help=BUILDS)],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where no GPU was seen that it is for.")
    ] = False,
) -> None:
    """Install a build of an engine, and trust it once it has answered."""
    tree = settings()
    made, installer = _prepared(tree, build, anyway=anyway)
    former = installer.environments.get(made.name)
    began = time.monotonic()
    told = Told(began)

    def vacate() -> None:
        told.clear()
        _stop_workers(tree, _running(former), "as its engine is replaced")

    try:
        with _ended_as_by_ctrl_c(), told:
            found = installer.install(made, told, vacate)
            since = time.time()
    except KeyboardInterrupt:
        print("Stopped. Nothing of it is left; what was there before is.", file=sys.stderr)
        raise
    print(f"{found} is installed, and has answered.")
    _print_facts(found, time.monotonic() - began)
    _stop_workers(tree, _of_engine(found.engine, since), "so that the next one uses it")


def remove(build: Annotated[str, typer.Argument(help=BUILDS)]) -> None:
    """Remove a build of an engine; workers that run it are stopped first."""
    from noibo.engines.environments.environment import Environments
    from noibo.engines.environments.recipe import require_name

    tree = settings()
    environments = Environments(tree.home)
    known = environments.get(require_name(build))
    _stop_workers(tree, _running(known), "as its engine goes")
    environments.remove(build)
    freed = f": {size(known.bytes)} are free" if known else ""
    print(f"Removed {known or build}{freed}.")


def print_installed(tree: Settings) -> None:
    """The builds that were installed and have answered, and which of llama.cpp's is used."""
    from noibo.engines.environments.choice import Choice
    from noibo.engines.environments.environment import Environments
    from noibo.engines.supervision.builds import Builds

    environments = Environments(tree.home)
    used = Choice(environments, Builds(tree.home))()
    rows = [
        [
            f"{one.name} (used)" if used and one.name == used.name else one.name,
            f"{one.package} {one.version}",
            shown(", ".join(one.devices) or one.build),
            f"{ago(one.trusted_at)} ago" if one.usable else f"Python {one.python}: not used",
            size(one.bytes),
        ]
        for one in environments.all()
    ]
    if rows:
        print()
        print_table(_INSTALLED, rows)


def _prepared(tree: Settings, build: str, *, anyway: bool) -> tuple[Recipe, Installer]:
    """The recipe for this machine, and what follows it. Whatever keeps it from being trusted in the
    end is raised now, before anything is fetched."""
    from noibo.assembly import open_door, open_store
    from noibo.engines.environments.environment import Environments
    from noibo.engines.environments.installing import Installer
    from noibo.engines.environments.recipe import Around, recipe, replaces_pypi
    from noibo.engines.environments.trial import LlamaTrial, try_program
    from noibo.engines.llama_cpp.adapter import LlamaCpp
    from noibo.hardware import instructions
    from noibo.hardware.gpus import gpus, suspected
    from noibo.hardware.probe import memory_of
    from noibo.hardware.system import System
    from noibo.modelstore.index import pip_settings

    system, pip = System(), pip_settings.read()
    cards = gpus(system, memory_of(system)[0])[0] if suspected(system) else []
    around = Around(
        tuple(cards),
        lambda: instructions.running(system, instructions.listed(system))[0],
        arm=platform.machine().lower() in {"aarch64", "arm64"},
        index=tree.fetch.engine_index,
        engine=_wanted(),
        own_index=replaces_pypi(pip.indexes),
        anyway=anyway,
    )
    made = recipe(build, around)
    llama = LlamaTrial(LlamaCpp(), open_store(tree), tree.engine)
    if made.engine == "llama_cpp":
        llama.require_model()
    trials: dict[str, Any] = {"llama_cpp": llama}
    for engine in ("vllm", "transformers"):
        trials[engine] = lambda folder, engine=engine: try_program(engine, folder)
    return made, Installer(Environments(tree.home), open_door(tree), pip, trials)


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """A polite end from elsewhere, and that of the terminal, leave nothing either."""
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [one for one in known if signal.getsignal(one) == signal.SIG_DFL]  # not under nohup
    for one in ours:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _wanted() -> str:
    """llama.cpp as noibo itself wants it: its worker modules are written for that."""
    import importlib.metadata

    try:
        said = importlib.metadata.requires("noibo") or []
    except importlib.metadata.PackageNotFoundError:
        said = []
    return next((one for one in said if one.startswith("xllamacpp")), "xllamacpp")


def _print_facts(found: Environment, took_s: float) -> None:
    on = ", ".join(found.devices) or "the processor"
    rate = f", {found.rate:.0f} prompt tokens/s" if found.rate else ""
    print(f"It runs on {shown(on)}{rate}; {size(found.bytes)} on disk; took {seconds(took_s)}.")
    if found.build.startswith(("cu", "rocm", "vulkan")) and not found.devices:
        print("It sees no GPU, so it is not used: look at the driver (`noibo hardware`).")


def _of_engine(engine: str, before: float) -> Concerned:
    """Workers of an engine that were started before a time of day: with another build."""
    return lambda row: row.engine == engine and row.started_at < before


def _running(known: Environment | None) -> Concerned:
    """Workers that run in an environment; none where there is none."""

    def runs(row: WorkerRow) -> bool:
        if known is None:
            return False
        said = row.placement.get("build")
        return bool(said == str(known) or row.engine == known.engine == known.name)

    return runs


def _stop_workers(tree: Settings, concerned: Concerned, why: str) -> None:
    """Tell the server, if one runs: those workers end when they have answered. All of a model go at
    once; what hinders one leaves the others none the less."""
    try:
        with connect(tree) as client:
            for model in dict.fromkeys(row.model for row in client.workers() if concerned(row)):
                try:
                    print(f"{client.stop_worker(model).done}, {why}")
                except RequestFailed as error:
                    if error.server_code != ModelNotFound.code:  # it has ended meanwhile
                        _print_hindered(error)
    except ServerUnreachable:
        return
    except NoiboError as error:
        _print_hindered(error)


def _print_hindered(error: NoiboError) -> None:
    print(f"A worker goes on as it is: {error}", file=sys.stderr)
