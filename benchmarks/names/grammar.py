"""Sentences with names in them, made from `sentences.txt`, with the spans of the persons.

A part of the names is made up, so that a finder does not learn to rest on its lists alone.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from pathlib import Path

from noibo.privacy.folding import bare
from noibo.privacy.names_lexicon import read, words

SLOT = re.compile(r"\{([A-Za-z])\}")
PERSONS = "NGEFL"
CAPITALS = "ABCDEFGHIKLMNOPRSTUVX"
ENDINGS = [
    "ville",
    "burg",
    "ton",
    "stad",
    "by",
    "dorf",
    "mouth",
    "ford",
    "field",
    "land",
    "ia",
    "o",
    "a",
]
LEGAL = [
    "Inc",
    "LLC",
    "Ltd",
    "Corp",
    "Group",
    "Bank",
    "Technologies",
    "Partners",
    "Solutions",
    "University",
]

Row = tuple[str, str, list[tuple[int, int]]]


def sentences() -> list[str]:
    """The lines of the file but for its comments."""
    text = (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8")
    return [line.replace("\\n", "\n") for line in text.splitlines() if line and line[0] != "#"]


class Grammar:
    """Fills the slots of sentences, always the same for one seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        rows = read("vietnamese_surnames.txt").splitlines()
        self.frequent = (rows[0] + " " + rows[1]).split()
        self.rare = " ".join(rows[2:]).split()
        self.syllables = sorted(w for w in words("vietnamese_given.txt") if len(w) > 1)
        self.given = sorted(words("given_names.txt"))
        self.surnames = sorted(words("surnames.txt"))
        self.places = [
            [p.strip() for p in read(name).replace("\n", ";").split(";") if p.strip()]
            for name in ("vietnamese_places.txt", "world_places.txt")
        ]
        self.common = sorted(w for w in words("english_words.txt") if 3 < len(w) < 10)
        self.following: dict[str, Counter[str]] = defaultdict(Counter)
        for word in self.surnames[::7]:
            for place in range(len(padded := "^^" + word + "$") - 2):
                self.following[padded[place : place + 2]][padded[place + 2]] += 1

    def made_up(self) -> str:
        """A word that looks like a surname and is in no list."""
        word = "^^"
        while len(word) < 14:
            counts = self.following[word[-2:]]
            letter = self.random.choices(list(counts), list(counts.values()))[0]
            if letter == "$":
                if len(word) > 5:
                    break
                word = "^^"
                continue
            word += letter
        return word[2:].capitalize()

    def listed(self, names: list[str]) -> str:
        """One of a list, or a made-up word in its place."""
        return self.made_up() if self.random.random() < 0.35 else self.random.choice(names).title()

    def vietnamese(self) -> str:
        """Surname, mostly a middle name, and a given name, sometimes of two syllables."""
        draw = self.random
        surname = draw.choice(self.frequent if draw.random() < 0.75 else self.rare)
        middle = draw.choice(["thị", "văn", "hữu", "minh", "ngọc", *draw.sample(self.syllables, 4)])
        parts = [surname, *([middle] if draw.random() < 0.85 else []), draw.choice(self.syllables)]
        if draw.random() < 0.25:
            parts.append(draw.choice(self.syllables))
        return " ".join(parts).title()

    def fill(self, slot: str) -> str:
        """What stands for a slot."""
        makers = {
            "N": self.vietnamese,
            "G": lambda: self.syllable() + (f" {self.syllable()}" if self.chance(0.4) else ""),
            "E": self.foreign,
            "F": lambda: self.listed(self.given),
            "L": lambda: self.listed(self.surnames),
            "C": self.place,
            "O": self.organisation,
            "W": self.syllable,
            "A": lambda: "".join(self.random.sample(CAPITALS, self.random.randint(2, 5))),
            "M": self.made_up,
        }
        return makers[slot.upper()]()

    def chance(self, probability: float) -> bool:
        """Whether something happens that does so with this probability."""
        return self.random.random() < probability

    def syllable(self) -> str:
        """One of those that Vietnamese names are made of."""
        return self.random.choice(self.syllables).title()

    def foreign(self) -> str:
        """A given name and a surname, sometimes an initial between."""
        initial = f" {self.random.choice(CAPITALS)}." if self.chance(0.12) else ""
        return f"{self.listed(self.given)}{initial} {self.listed(self.surnames)}"

    def place(self) -> str:
        """Half of them known."""
        draw = self.random
        if draw.random() < 0.5:
            return draw.choice(draw.choice(self.places))
        name = self.made_up()
        if draw.random() < 0.4:
            name += draw.choice(ENDINGS)
        return name.upper() if draw.random() < 0.2 else name

    def organisation(self) -> str:
        """As companies are named."""
        draw = self.random
        shape = draw.randrange(6)
        if shape == 0:
            return f"{self.listed(self.surnames)} {draw.choice(LEGAL)}"
        if shape == 1:
            return f"{self.listed(self.surnames)}-{self.listed(self.surnames)}"
        if shape == 2:
            return " ".join(draw.sample(self.common, 2)).title()
        if shape == 3:
            return draw.choice(self.common).title() + draw.choice(self.common).title()
        if shape == 4:
            return draw.choice(self.common).title()
        return self.made_up()

    def styled(self, value: str) -> str:
        """As people type: without accents, or all in capitals."""
        draw = self.random.random()
        if draw < 0.15:
            return bare(value)
        return value.upper() if draw > 0.93 else value

    def rows(self, count: int) -> list[Row]:
        """`count` of each sentence: (its number, the text, the spans of persons)."""
        return [
            (f"own{number}", *self.sentence(line))
            for number, line in enumerate(sentences())
            for _ in range(count)
        ]

    def sentence(self, line: str) -> tuple[str, list[tuple[int, int]]]:
        """One sentence with its slots filled."""
        text, spans, done = "", [], 0
        plain = self.random.random() < 0.1
        for slot in SLOT.finditer(line):
            text += line[done : slot.start()]
            value = self.styled(self.fill(slot[1]))
            if slot[1] in PERSONS:
                spans.append((len(text), len(text) + len(value)))
            text += value
            done = slot.end()
        text += line[done:]
        return (bare(text), spans) if plain else (text, spans)
