"""`python -m noibo.evaluation.routing.train DATA`: learns the shipped weights again.

DATA is a folder with the labelled prompts that docs/routing.md names. The same data gives the same
weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

from noibo.evaluation.routing.learning import Data, learn
from noibo.evaluation.routing.samples import samples
from noibo.routing.learnt import SHIPPED


def main() -> None:
    """Reads, learns, writes."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path, help="Folder with the labelled prompts.")
    asked.add_argument("--out", type=Path, default=SHIPPED, help="File of weights.")
    args = asked.parse_args()
    sets = samples(args.data)
    every = Data.of([one for name in sorted(sets) for one in sets[name]])
    about = json.dumps({"sets": {name: len(sets[name]) for name in sorted(sets)}})
    replace(learn(every), about=about).save(args.out)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{args.out}: {args.out.stat().st_size} bytes, sha256 {digest}")  # noqa: T201


if __name__ == "__main__":
    main()
