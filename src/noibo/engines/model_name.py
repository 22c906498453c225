"""How names of models are written."""

from __future__ import annotations

from typing import Final

LATEST: Final = ":latest"  # goes without saying
