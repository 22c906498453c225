"""What is known before any data: the seed's rules as weights, and what the field knows of models.

Log-odds that the local model's answer is right. For open prompts there are few labels anywhere, so
these weights hold; of exam questions and word problems the data says far more than they do.

An open prompt without a cue is simple under 10 words, medium up to 30 and complex beyond, as in the
seed; a cue of hard work makes short ones complex too, a cue of easy work makes medium ones simple.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from noibo.evaluation.routing.fitting import Prior
from noibo.routing.features import BUCKETS, NAMES

FIRM: Final = 200.0  # nothing here is labelled with it: only a lot of data moves it
LOOSE: Final = 2.0
HINT: Final = 30.0  # hardly labelled, or of little use beside the words themselves
WORDS: Final = 1.0
LARGE_SHARE: Final = 0.4  # of what makes a local model wrong, so much does with a large one
LARGE_CONSTANT: Final = 1.6

# name: (mean, precision)
LOCAL: Final[dict[str, tuple[float, float]]] = {
    "constant": (0.32, FIRM),
    "open_length": (-1.35, FIRM),
    "hard": (-2.4, FIRM),
    "harder": (-1.0, FIRM),
    "easy": (1.3, FIRM),
    "brief": (0.9, FIRM),
    "brief_why": (1.6, FIRM),
    "easy_and_hard": (-0.9, FIRM),
    "limits": (-2.6, FIRM),
    "specialist": (-3.8, FIRM),
    "several_questions": (-0.4, 20.0),
    "passage": (0.5, 20.0),
    "code": (-0.5, 20.0),
    "context": (-0.3, FIRM),
    "turns": (-0.12, FIRM),
    "tools": (-0.45, FIRM),
    "documents": (-0.25, FIRM),
    "pictures": (-0.5, FIRM),
    "formulas": (-0.2, HINT),
    "long_words": (-0.1, HINT),
    "code_lines": (-0.5, HINT),
    "choice": (0.4, LOOSE),
    "choice_length": (-1.2, 100.0),
    "choice_options": (-0.15, HINT),
    "choice_statements": (-0.15, HINT),
    "choice_negative": (-0.06, HINT),
    "choice_numbers": (-0.15, HINT),
    "problem": (0.2, LOOSE),
    "problem_length": (-0.7, LOOSE),
    "problem_numbers": (-0.05, HINT),
    "problem_rates": (-0.05, HINT),
    "problem_shares": (-0.05, HINT),
    "problem_relations": (-0.05, HINT),
    "problem_sequence": (-0.05, HINT),
    "problem_clock": (-0.05, HINT),
    "exam_on_mathematics": (-0.24, HINT),
    "exam_on_statistics": (-0.18, HINT),
    "exam_on_physics": (-0.12, HINT),
    "exam_on_chemistry": (-0.12, HINT),
    "exam_on_law": (-0.15, HINT),
    "exam_on_logic": (-0.15, HINT),
    "exam_on_computing": (-0.06, HINT),
    "exam_on_history": (0.09, HINT),
    "exam_on_psychology": (0.09, HINT),
    "exam_on_society": (0.09, HINT),
}
# Cues one by one may differ a little from what all of their side have.
_CUE: Final = 40.0
# In the seed's patterns, weaker than the others: "cách", "phải" and a summary are said of anything.
_MILD: Final[dict[str, float]] = {
    "ask_effects": 0.5,
    "ask_research": 0.3,
    "ask_why": 0.0,
    "ask_write": -0.1,
}


def prior_of_local() -> Prior:
    """Of every feature, the constant, and every hashed word."""
    found = [_of(name) for name in (*NAMES, "constant")]
    mean = np.array([one for one, _ in found] + [0.0] * BUCKETS)
    precision = np.array([one for _, one in found] + [WORDS] * BUCKETS)
    return Prior(mean, precision)


def prior_of_large() -> Prior:
    """A large model fails at the same things, less; of subjects of exams the data says more."""
    local = prior_of_local()
    mean = local.mean * LARGE_SHARE
    mean[len(NAMES)] = LARGE_CONSTANT
    exam = np.array([name.startswith("exam_") for name in NAMES] + [False] * (BUCKETS + 1))
    return Prior(mean, np.where(exam, LOOSE, local.precision))


def _of(name: str) -> tuple[float, float]:
    if name in LOCAL:
        return LOCAL[name]
    if name.startswith("ask_"):
        return (_MILD.get(name, 0.0), _CUE if name not in _MILD else FIRM)
    return (0.0, HINT)
