"""noibo with several echo models, each with a script of its own.

`python -m tests.chaos.echoes SCRIPTS … -m noibo serve …`: after the scripts (JSON: name to options)
comes the command as `tests.running` types it. Everything else is noibo itself, in this process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from noibo.cli.main import main
from noibo.engines.engine import Model
from noibo.engines.lookup import ModelLookup
from tests.running import RunningServer

Scripts = dict[str, dict[str, object]]


def echoes(
    home: Path,
    scripts: Scripts,
    *arguments: str,
    wrapper: tuple[str, ...] = (),
    **environ: str,
) -> RunningServer:
    """A server with these echo models; its temporary files lie beside its home."""
    temporary = home.parent / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return RunningServer(
        home,
        *arguments,
        wrapper=(*wrapper, sys.executable, "-m", "tests.chaos.echoes", json.dumps(scripts)),
        **({"TMPDIR": str(temporary)} | environ),
    )


def _teach(scripts: Scripts) -> None:
    models = {name: Model(name, "echo", options=options) for name, options in scripts.items()}
    from_store = ModelLookup._find

    def find(lookup: ModelLookup, name: str) -> Model:
        return models.get(name) or from_store(lookup, name)

    ModelLookup._find = find  # type: ignore[method-assign]


if __name__ == "__main__":
    _teach(json.loads(sys.argv[1]))
    sys.argv = ["noibo", *sys.argv[sys.argv.index("noibo") + 1 :]]
    main()
