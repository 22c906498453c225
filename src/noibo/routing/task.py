"""Of which kind a request is, for the quality of models that was measured by kinds of task
(`[models."NAME"] quality = { all = 0.8, code = 0.6 }`)."""

from __future__ import annotations

from typing import Final

from noibo.routing.features import Features

CHAT: Final = "chat"
# By what the classifier has seen; the first that is there. A request for code about mathematics is
# one for code, a summary of a law a summary.
_BY_CUES: Final = (
    ("translation", frozenset({"translate"})),
    ("summary", frozenset({"summarise"})),
    ("mathematics", frozenset({"mathematics", "statistics", "logic"})),
    ("writing", frozenset({"write", "rewrite"})),
    (
        "reasoning",
        frozenset(
            {
                "compare",
                "tradeoff",
                "why",
                "analyse",
                "propose",
                "predict",
                "design",
                "plan",
                "prove",
                "diagnose",
                "optimise",
                "reason",
                "several",
                "effects",
            }
        ),
    ),
    ("facts", frozenset({"define", "fact", "count", "list"})),
)
TASKS: Final = ("code", *(task for task, _ in _BY_CUES), CHAT)


def task_of(features: Features | None) -> str:
    """One of `TASKS`; chat where nothing says another."""
    if features is None:
        return CHAT
    if features.form == "code":
        return "code"
    if features.form == "problem":
        return "mathematics"
    found = frozenset(features.found)
    return next((task for task, cues in _BY_CUES if found & cues), CHAT)
