"""Logging: one line an event, on standard error. Prompts and secrets never reach it.

Code logs names, counts and durations. Nothing that a caller or a document wrote is ever an
argument of a log call; `tests/test_logs.py` greps for it.
"""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def setup(level: str) -> None:
    """Set up the `noibo` loggers; other libraries speak from warning upward."""
    logging.basicConfig(format=FORMAT, level=logging.WARNING)
    logging.getLogger("noibo").setLevel(level.upper())
