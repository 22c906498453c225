"""Vietnamese addresses: `số 12 ngõ 34 đường Láng, phường Láng Thượng, quận Đống Đa, Hà Nội`.

An address is a chain of parts, from the house to the province. It is looked for in the text without
its accents, which has the same length, so that `so 12 ngo 34 duong Lang` is read by the same rules.
English forms of Vietnamese addresses (`45B Ly Tu Trong St., Ben Nghe Ward, District 1`) are chains
of the same kind.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from noibo.privacy.addresses_rules import (
    FINE,
    HOUSE,
    HOUSE_WORDS,
    KNOWN,
    PLAIN,
    countries,
    fits,
    kinds,
    known,
    listed,
    patterns,
    settled,
    tails,
    units_by_last_word,
)
from noibo.privacy.folding import without_accents
from noibo.privacy.names_lexicon import historic

_LONGEST: Final = 9  # parts
_SHORTENED: Final = re.compile(r" (?:St|Str|Rd|Ave|Blvd|Dist)$")
_NO_PLACES: Final = frozenset(["nha", "doi", "km", "can"])  # `nhà Nguyễn`, `đội Việt Nam`
_STALLS: Final = frozenset(["kiot", "ki ot", "ki-ot", "sap", "quay"])
_HEADS: Final = frozenset(["phường", "quận", "huyện", "tỉnh", "ward", "district"])
_CUT: Final = frozenset(["phuong", "quan", "huyen", "xa", "tinh", "tp", "thi", "ward"])
_HOUSE_ENDS: Final = tuple(HOUSE_WORDS)
_SMALL_WORDS: Final = re.compile(r"[a-z]+(?:[ ][a-z]+){0,3}(?![^\W_])")
_WORDS: Final = frozenset(("my", "anh", "tp", "phap", "duc"))  # countries, and words besides
_PAIRS: Final = {"thi": ("xa", "tran"), "thanh": ("pho",)}
_NAME_BEFORE: Final = re.compile(r"(?<![\w.])[A-Z][A-Za-z]*(?: [A-Z][A-Za-z]*){0,5} $")
_MARKS: Final = dict.fromkeys(map(ord, "\n\t\"'“”‘’([{<>:;,*-–/|"), " ")


class Part(NamedTuple):
    """A part of an address, in characters, and its kind."""

    start: int
    end: int
    kind: str


class Reader:
    """Reads parts at places of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bare = without_accents(text)
        self.patterns = patterns()
        self._read: dict[tuple[int, bool], Part | None] = {}

    def part(self, place: int, *, first: bool) -> Part | None:
        """The part that begins at `place`; a mere name opens no address."""
        key = (place, first)
        if key not in self._read:
            found = self._house(place) or self._unit(place, first=first) or self._tail(place)
            self._read[key] = found or (None if first else self._small(place) or self._name(place))
        return self._read[key]

    def _house(self, place: int) -> Part | None:
        found = self.patterns.house.match(self.bare, place)
        if not found:
            return None
        kind, name = found["kind"], found["name"]
        if kind and not fits(self.text, *found.span("kind")):
            return self._misread(found)
        if not name:
            return self._without_street(found)
        if self._is_no_street(found):
            return None
        head = self.text[found.start("name") : found.end()].split(" ")[0].lower()
        if head in listed("not streets") or head in _HEADS:
            return Part(place, found.end("lanes"), FINE) if found["lanes"] or found["so"] else None
        end = self._cut(found.start("name"), name)
        if self.bare.startswith(".", end) and _SHORTENED.search(self.bare[place:end]):
            end += 1
        return Part(place, end, HOUSE)

    def _misread(self, found: re.Match[str]) -> Part | None:
        """What was taken for a word for streets begins a name: the `Ngô` of 12 Ngô Quyền."""
        start = found.end("kind") - len(found["kind"].lstrip(", "))
        name = self.patterns.name.match(self.bare, start)
        if not name or name["small"] or not self.text[start].isupper():
            return None
        return Part(found.start(), self._cut(start, name[0]), HOUSE)

    def _without_street(self, found: re.Match[str]) -> Part | None:
        """What says by itself that it is a house: `số 5 ngách 42/19`, `số nhà 31`; or a street in
        lower case: `số 3 đường lê lợi`."""
        if found["street"]:
            return Part(found.start(), found.end(), HOUSE)
        for group in ("after", "small"):
            street = found[group] and self.text[found.start(group) : found.end()] in historic()
            if street and (group == "after" or found["lanes"]):
                return Part(found.start(), found.end(), HOUSE)
        if found["small"] and found["kind"] and self.text[found.start("small")].islower():
            return Part(found.start(), found.end(), HOUSE)
        said = (
            self.text[found.start() : found.end("so")].lower().strip(" .:") if found["so"] else ""
        )
        if found["lanes"] or said in (
            "số nhà",
            "sn",
            "so nha",
            "nhà số",
            "nha so",
            "số",
            "ngõ",
            "hẻm",
            "ngách",
            "kiệt",
        ):
            return Part(found.start(), found.end("lanes"), FINE)
        return None

    def _is_no_street(self, found: re.Match[str]) -> bool:
        """`1985, Áo`, `9000 BP`: a year, a quantity, a country."""
        if found["so"] or found["kind"] or found["lanes"]:
            return False
        name, number = found["name"], found["number"]
        if name.lower() in countries() or (name.isupper() and len(name) < 4):
            return True
        between = self.bare[found.end("number") : found.start("name")]
        return number.isdigit() and ("," in between or len(number) == 4)

    def _unit(self, place: int, *, first: bool) -> Part | None:
        found = self.patterns.unit.match(self.bare, place)
        if not found or not fits(self.text, *found.span("kind")):
            return None
        word = found["kind"].lower()
        dotted = "." in self.bare[place : place + 2]
        if len(word) == 1 and not dotted and (found["name"] or not found["kind"].isupper()):
            behind_street = not first and self.bare[place + 1 : place + 2].isdigit()
            if not behind_street:  # `q1`
                return None
        if found["small"] and (first or len(word) < 2):
            return None
        coded = found["number"] or (found["name"] and found["name"][-1].isdigit())
        if word in _NO_PLACES and not coded:
            return None
        end = found.end()
        if found["name"]:
            end = self._cut(found.start("name"), found["name"])
        elif word in _STALLS and self.text.startswith(" chợ ", end):
            market = self.patterns.name.match(self.bare, end + 5)
            end = market.end() if market and not market["small"] else end
        return Part(place, end, kinds()[word])

    def _small(self, place: int) -> Part | None:
        """A known place in lower case, also with a word before it, whatever follows:
        `tp. hồ chí minh giúp em`."""
        if not self.bare[place : place + 1].islower():
            return None
        opened = self.patterns.opens.match(self.bare, place)
        if opened and fits(self.text, *opened.span("kind")):
            length = self._known_small(opened.end(), least=1)
            if length:
                return Part(place, opened.end() + length, kinds()[opened["kind"]])
        length = self._known_small(place, least=2)
        return Part(place, place + length, KNOWN) if length else None

    def _known_small(self, place: int, *, least: int) -> int:
        """How many characters of words in lower case are a known place."""
        found = _SMALL_WORDS.match(self.bare, place)
        words = found[0].split(" ") if found else []
        for count in range(len(words), least - 1, -1):
            phrase = " ".join(words[:count])
            if phrase in (settled() if count > 1 else known()) and phrase not in _WORDS:
                return len(phrase)
        return 0

    def _cut(self, start: int, name: str) -> int:
        """Where a name ends: before the next part that begins without a comma, as in
        `Phường 5 Quận 3`. The `Tĩnh` of Hà Tĩnh begins none."""
        words = name.split(" ")
        end = start + len(words[0])
        for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
            opens = word.lower() in _CUT and fits(self.text, end + 1, end + 1 + len(word))
            opens = opens and (word.lower() not in _PAIRS or after.lower() in _PAIRS[word.lower()])
            goes_on = self.bare[end + 1 + len(word) : end + 3 + len(word)]
            opens = opens and bool(after or goes_on[:1] == "." or goes_on.strip().isdigit())
            if opens and f"{before} {word}".lower() not in known():
                return end
            end += 1 + len(word)
        return end

    def _tail(self, place: int) -> Part | None:
        found = self.patterns.tail.match(self.bare, place)
        if not found:
            return None
        end = found.end()
        if self.bare.startswith(".", end) and _SHORTENED.search(found[0]):
            end += 1
        return Part(place, end, tails()[found["tail"].lower()])

    def _name(self, place: int) -> Part | None:
        found = self.patterns.name.match(self.bare, place)
        if not found:
            return None
        words = found[0].split(" ")
        for count in range(len(words), 0, -1):
            phrase = " ".join(words[:count])
            if phrase.lower() in settled() and (not found["small"] or count > 1):
                return Part(place, place + len(phrase), KNOWN)
        return Part(place, found.end(), PLAIN) if len(words) <= 4 and not found["small"] else None

    def chain(self, place: int) -> list[Part]:
        """The parts that follow one another from `place` on, up to the last that surely is one."""
        part = self.part(place, first=True)
        parts: list[Part] = []
        while part and len(parts) < _LONGEST:
            parts.append(part)
            between = self.patterns.separator.match(self.bare, part.end)
            if not between:
                break
            following = self.part(between.end(), first=False)
            loose = between[0].isspace() or between[0] == "."
            if following and loose and self._starts_anew(part, following):
                break
            if following and loose and following.kind == KNOWN and "\n" in between[0]:
                break
            part = following
        while len(parts) > 1 and parts[-1].kind in (PLAIN, HOUSE) and parts[-2].kind != FINE:
            parts.pop()
        return parts

    def _starts_anew(self, part: Part, following: Part) -> bool:
        """Whether what follows after a mere blank is another thing: `nhà 6B ngõ 81` goes on."""
        if following.kind == HOUSE:
            word = self.bare[following.start : following.end].partition(" ")[0].lower()
            return part.kind != FINE or word not in kinds()
        return following.kind == PLAIN

    def heads(self) -> list[int]:
        """Where an address may begin, in order."""
        bare = self.bare
        found = [
            _with_word(bare, number.start()) for number in self.patterns.numbers.finditer(bare)
        ]
        endings = units_by_last_word()
        for opened in self.patterns.opened.finditer(bare):
            end = opened.start()
            if not bare[end - 1 : end].isalpha():
                continue
            word = bare[max(0, end - 12) : end].rpartition(" ")[2]
            if not word.isalpha():
                word = word.translate(_MARKS).rpartition(" ")[2]
            units = endings.get(word.lower())
            if units:
                start = _unit_before(bare, end, units)
                if start >= 0:
                    found.append(start)
        for tail in self.patterns.tails.finditer(bare):
            name = _NAME_BEFORE.search(self.bare, max(0, tail.start() - 40), tail.start() + 1)
            if name:
                found.append(name.start())
        return sorted(set(found)) if len(found) > 1 else found


def _unit_before(bare: str, end: int, units: tuple[str, ...]) -> int:
    """Where the longest of `units`, whose last word ends at `end`, begins, or -1."""
    before = ""
    for unit in units:
        if " " not in unit:
            return end - len(unit)
        before = before or bare[max(0, end - 20) : end].translate(_MARKS).lower()
        if before.endswith(unit) and before[-len(unit) - 1 : -len(unit)] in ("", " "):
            return end - len(unit)
    return -1


def _with_word(bare: str, place: int) -> int:
    """Where the house begins if `số` or `số nhà` stands before its number."""
    before = bare[max(0, place - 10) : place].lower()
    plain = before.rstrip(" .:")
    if not plain.endswith(_HOUSE_ENDS):
        return place
    for word in HOUSE_WORDS:
        if plain.endswith(word) and not plain[-len(word) - 1 : -len(word)].isalnum():
            return place - len(before) + len(plain) - len(word)
    return place
