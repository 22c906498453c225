"""A pull in a process of its own, to be killed: `python -m tests.modelstore.pull_process`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from noibo.egress import Door
from noibo.errors import NoiboError
from noibo.modelstore.catalog import Catalog
from noibo.modelstore.progress import Progress
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.store import Store
from noibo.settings import Fetch


def tell(progress: Progress) -> None:
    print(json.dumps([progress.stage, progress.done, progress.note]), flush=True)


def main(home: Path, known: Path, name: str) -> None:
    catalog = msgspec.json.decode(known.read_bytes(), type=Catalog)
    store, door = Store(home / "models"), Door(record=home / "egress.jsonl")
    puller = Puller(store, Sources(door, Fetch(), store.partial), catalog)
    try:
        puller.pull(name, tell)
    except NoiboError as error:
        print(json.dumps(["error", 0, f"{error.code}: {error}"]), flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
