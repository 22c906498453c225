"""What can be seen of a request before any model reads it: what it asks, its form, subject, size.

Each feature is a number about 0 to 1 with words of its own, so that a decision explains itself.
Nothing here is learnt; the words of the prompt, hashed, are for what is.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from noibo.routing import cues, subjects
from noibo.routing.forms import Form, Shape, shape_of
from noibo.routing.phrases import Words, fold

# What needs no knowledge of a subject though its terms are there.
_TOLD: Final = {"define", "fact", "count", "list", "translate", "summarise", "rewrite"} | {
    "convert", "brief", "chat", "explain"
}  # fmt: skip
BUCKETS: Final = 1 << 16
ASK_HEAD: Final = 700  # characters at the beginning and the end that an instruction stands in;
ASK_TAIL: Final = 500  # what lies between is a text that it is about
READ_HEAD: Final = 6000  # characters that are read at all: the time for a prompt is bounded
READ_TAIL: Final = 2000
_QUOTED: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[\"“«「『][^\"”»」』\n]{3,300}[\"”»」』]", re.S
)
_SPACED: Final = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


@dataclass(frozen=True, slots=True)
class Query:
    """A request as far as its difficulty goes. `text`: what the user says now; `context_tokens`:
    everything that stands before it (history, passages, instructions)."""

    text: str
    context_tokens: int = 0
    turns: int = 1
    tools: int = 0
    documents: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Features:
    """`values` by name, those that are not zero; `buckets`: hashed words and pairs of words with
    their weight; `found`: cues and subjects that were seen, strongest first."""

    values: dict[str, float]
    form: Form
    words: int
    numbers: int = 0
    buckets: dict[int, float] = field(default_factory=dict)
    found: tuple[str, ...] = ()


NAMES: Final = (
    "choice", "problem", "code", "open_length", "choice_length", "choice_options",
    "choice_statements", "choice_negative", "choice_numbers", "choice_blank", "choice_passage",
    "choice_long_options", "problem_length", "problem_numbers", "problem_rates", "problem_shares",
    "problem_relations", "problem_sequence", "problem_clock", "formulas", "long_words",
    "code_lines", "hard", "harder", "easy", "brief", "brief_why", "easy_and_hard", "limits",
    "specialist", "several_questions", "passage", "context", "turns", "tools", "documents",
    "pictures",
    *(f"ask_{cue.name}" for cue in cues.CUES),
    *(f"on_{subject.name}" for subject in subjects.SUBJECTS),
    *(f"exam_on_{subject.name}" for subject in subjects.SUBJECTS),
)  # fmt: skip


def features_of(query: Query) -> Features:
    """All of it, in about a millisecond."""
    text = _read(query.text)
    whole = Words.of(text)
    shape = shape_of(text, whole)
    asked = Words.of(_asked(text))
    said = cues.PHRASES.find(asked)
    about = subjects.PHRASES.find(whole)
    values = {
        **_of_form(shape, whole),
        **_of_cues(said, shape, asked),
        **_of_subjects(about, said, shape, whole),
        **_around(query),
    }
    return Features(
        values={name: value for name, value in values.items() if value},
        form=shape.form,
        words=len(whole),
        numbers=shape.numbers,
        buckets=_hashed(text, shape.form),
        found=(*said, *sorted(about, key=lambda name: (-len(about[name]), name))),
    )


def _read(text: str) -> str:
    if len(text) <= READ_HEAD + READ_TAIL:
        return text
    return text[:READ_HEAD] + "\n" + text[-READ_TAIL:]


def _asked(text: str) -> str:
    """What asks for something: without quotations, code, and the middle of long texts."""
    text = _QUOTED.sub(" ", text)
    if len(text) <= ASK_HEAD + ASK_TAIL:
        return text
    return text[:ASK_HEAD] + "\n" + text[-ASK_TAIL:]


def _of_form(shape: Shape, whole: Words) -> dict[str, float]:
    words = max(len(whole), 1)
    values = {
        "formulas": _part(shape.formulas, 4),
        "long_words": min(shape.long_words / words * 4, 1.5),
        "code_lines": _part(shape.code_lines, 15),
        "several_questions": _part(max(shape.questions - 1, 0), 2),
    }
    if shape.form == "choice":
        return values | {
            "choice": 1.0,
            "choice_length": math.log(words / 60),
            "choice_options": math.log(max(shape.options, 2) / 4),
            "choice_statements": float(shape.statements),
            "choice_negative": float(shape.negative),
            "choice_numbers": shape.number_options,
            "choice_blank": float(shape.blank),
            "choice_passage": float(shape.stem_words > 120),
            "choice_long_options": _part(shape.option_words, 12),
        }
    if shape.form == "problem":
        return values | {
            "problem": 1.0,
            "problem_length": math.log(words / 42),
            "problem_numbers": math.log((1 + shape.numbers) / 6),
            "problem_rates": _part(shape.rates, 3),
            "problem_shares": _part(shape.shares, 2),
            "problem_relations": _part(shape.relations, 2),
            "problem_sequence": _part(shape.sequence, 3),
            "problem_clock": _part(shape.clock, 3),
        }
    return values | {
        "code": float(shape.form == "code"),
        "open_length": min(max(math.log(words / 17), -1.1), 1.3),
        "passage": float(words > 150),
    }


def _of_cues(said: dict[str, set[str]], shape: Shape, asked: Words) -> dict[str, float]:
    """Of open prompts. An exam question or a word problem is what its form is, whatever it asks."""
    if shape.form not in {"open", "code"}:
        return {}
    sides = Counter(cues.BY_NAME[name].side for name in said)
    defines = bool(said.get("define", set()) & cues.PLAIN_DEFINITION) and len(asked) <= 8
    hard, easy = 0 if defines else sides["hard"], sides["easy"]
    values = {f"ask_{name}": 1.0 for name in said}
    return values | {
        "hard": float(hard > 0),
        "harder": 1 - 0.5 ** (hard - 1) if hard > 1 else 0.0,
        "easy": float(easy > 0),
        "brief": float("brief" in said),
        "brief_why": float("brief" in said and "why" in said and hard == 1),
        "easy_and_hard": float(easy > 0 and hard > 0),
        "limits": _part(max(len(said.get("limit", ())) - 1, 0), 1),
    }


def _of_subjects(
    about: dict[str, set[str]], said: dict[str, set[str]], shape: Shape, whole: Words
) -> dict[str, float]:
    """Terms of subjects; one is `specialist` where an open question wants what is known of it: not
    where somebody asks what a term means, or wants a text of it said otherwise."""
    exam = "exam_" if shape.form == "choice" else ""
    values = {f"{exam}on_{name}": _part(len(terms), 2) for name, terms in about.items()}
    told = _TOLD & set(said)
    terms = sum(map(len, about.values()))
    asks = shape.questions > 0 and shape.form == "open" and len(whole) < 60
    if asks and (not told or (told == {"define"} and len(whole) > 8 and terms > 1)):
        values["specialist"] = _part(terms, 1.5)
    return values


def _around(query: Query) -> dict[str, float]:
    """What stands round the prompt. Each rises with more of it, and never falls."""
    return {
        "context": math.log2(1 + max(query.context_tokens, 0) / 1000),
        "turns": math.log2(max(query.turns, 1)),
        "tools": math.log2(1 + max(query.tools, 0)),
        "documents": math.log2(1 + max(query.documents, 0)),
        "pictures": math.log2(1 + max(query.pictures, 0)),
    }


def _hashed(text: str, form: Form) -> dict[int, float]:
    """Words and pairs of neighbours by hash, each as 1 + log of how often. The same word says
    another thing in another form."""
    salt = zlib.crc32(form.encode())
    pieces = _SPACED.findall(fold(text))[:700]
    counted = Counter(pieces)
    counted.update(map(" ".join, pairwise(pieces)))
    buckets: dict[int, float] = {}
    for piece, often in counted.items():
        bucket = zlib.crc32(piece.encode("utf-8", "surrogatepass"), salt) % BUCKETS
        buckets[bucket] = buckets.get(bucket, 0.0) + 1 + math.log(often)
    return buckets


def _part(count: float, half: float) -> float:
    """0 for none, a half at `half`, near 1 for many."""
    return count / (count + half) if count > 0 else 0.0
