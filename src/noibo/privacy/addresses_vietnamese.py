"""Vietnamese addresses: `số 12 ngõ 34 đường Láng, phường Láng Thượng, quận Đống Đa, Hà Nội`.

An address is a chain of parts, from the house to the province. It is looked for in the text without
its accents, which has the same length, so that `so 12 ngo 34 duong Lang` is read by the same rules;
where accents are written they must fit: `xã` and `xa` open a part, `xà` does not. English forms of
Vietnamese addresses (`45B Ly Tu Trong St., Ben Nghe Ward, District 1`) are chains of the same kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from noibo.privacy.names_lexicon import bare, phrases, places

# What a part says of where it is.
HOUSE: Final = "house"  # a number with a street
FINE: Final = "fine"  # a hamlet, an alley, a building, a floor
WARD: Final = "ward"
AREA: Final = "area"  # a district, a city, a province
PLAIN: Final = "plain"  # a name of an unknown place
KNOWN: Final = "known"  # a name in the list of places

_FINE_WORDS: Final = (
    "thôn,ấp,xóm,bản,buôn,làng,tổ,tổ dân phố,tdp,khu phố,kp,khóm,đội,cụm,lô,block,tầng,lầu,phòng,"
    "căn hộ,căn,ch,chung cư,cc,toà nhà,tòa nhà,toà,tòa,tháp,kcn,khu công nghiệp,kđt,khu đô thị,kdc,"
    "khu dân cư,khu tập thể,ktt,khu,cụm công nghiệp,ccn,ngõ,ngách,hẻm,kiệt,đường,phố,đường số,"
    "quốc lộ,ql,tỉnh lộ,tl,hương lộ,đại lộ,ký túc xá,ktx,dãy,nhà,số nhà,sn,biệt thự,villa,"
    "floor,room,alley,lane,hamlet,group,apartment,building,tower,phum,sóc,plei,ngã ba,ngã tư,km"
)
_WARD_WORDS: Final = "phường,xã,thị trấn,tt,p,x,ward,commune"
_AREA_WORDS: Final = (
    "quận,huyện,thị xã,tx,thành phố,tp,t.p,tỉnh,q,h,district,dist,city,province,đặc khu"
)
_STREET_WORDS: Final = "đường,phố,đ,đg,ngõ,ngách,hẻm,kiệt,ngo,đường số,quốc lộ,ql,tỉnh lộ,đại lộ,lô"
_TAILS: Final = {
    "st": HOUSE, "street": HOUSE, "str": HOUSE, "road": HOUSE, "rd": HOUSE, "avenue": HOUSE,
    "boulevard": HOUSE, "alley": FINE, "lane": FINE, "hamlet": FINE, "ward": WARD,
    "commune": WARD, "township": WARD, "district": AREA, "dist": AREA, "city": AREA,
    "province": AREA, "tower": FINE, "building": FINE, "apartment": FINE, "plaza": FINE,
    "palace": FINE, "residence": FINE, "town": FINE,
}  # fmt: skip
_NOT_STREETS: Final = frozenset(
    "tháng năm ngày giờ phút triệu tỷ đồng usd vnd vnđ người con cái kg km lần phần tuổi tầng học kỳ "
    "quý tuần january february march april may june july august september october november december "
    "am pm the and".split()
)

_WORD: Final = r"[A-Z][A-Za-z]*(?:['’][A-Za-z]+)*"
# Up to six words; streets are also named after days: 30 Tháng 4, 3/2, Cách Mạng Tháng Tám.
_NAME: Final = rf"{_WORD}(?:[ ]{_WORD}){{0,5}}"
_DATED: Final = r"(?:\d{1,2}[ ](?:[Tt]hang)[ ](?:\d{1,2}|[A-Z][a-z]+)|\d{1,2}/\d{1,2}(?![\d/]))"
_DIGITS: Final = r"\d{1,4}[A-Za-z]{0,2}(?:[ ]?[/\-][ ]?\d{1,4}[A-Za-z]{0,2}){0,4}"
_NUMBER: Final = rf"(?:[Kk]\.?)?{_DIGITS}"


_SHORTENED: Final = re.compile(r" (?:St|Str|Rd|Ave|Blvd)$")


def _alternatives(listed: str) -> str:
    """Words without accents, the longest first, each with its capital or all in capitals."""
    found = sorted({bare(word) for word in listed.split(",")}, key=len, reverse=True)
    return "|".join(re.escape(word).replace(r"\ ", r"[ ]") for word in found)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an address, in characters, and its kind."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Patterns:
    """The compiled rules; made when the first address is looked for."""

    house: re.Pattern[str]
    unit: re.Pattern[str]
    tail: re.Pattern[str]
    name: re.Pattern[str]
    numbers: re.Pattern[str]
    opened: re.Pattern[str]
    tails: re.Pattern[str]
    separator: re.Pattern[str]


@cache
def patterns() -> Patterns:
    """For text without accents."""
    units = _alternatives(f"{_FINE_WORDS},{_WARD_WORDS},{_AREA_WORDS}")
    streets = _alternatives(_STREET_WORDS)
    lanes = rf"(?:[ ,]{{1,2}}(?i:{streets})\b\.?[ ]?(?:so[ ])?{_NUMBER}(?![ ][Tt]hang|[\w/]))"
    named = rf"(?:{_DATED}|{_NAME})"
    openers = {bare(word) for word in _STREET_WORDS.split(",")}
    openers |= {word.capitalize() for word in openers} | {word.upper() for word in openers}
    house = (
        rf"(?P<so>(?i:so nha|so|sn|lo)[ .:]{{1,2}})?(?P<number>{_NUMBER})(?P<lanes>{lanes}{{0,4}})"
        rf"(?P<kind>,?[ ](?i:{streets})\b\.?)?(?:,?[ ](?P<name>{named}))?"
    )
    return Patterns(
        house=re.compile(house),
        unit=re.compile(
            rf"(?P<kind>(?i:{units}))(?:(?P<gap>\.?[ ]?)(?P<number>\d{{1,3}}[A-Za-z]?(?:[/\-.]\w{{1,5}}){{0,3}})"
            rf"(?![\d])|(?P<space>\.[ ]?|[ ])(?P<name>[A-Z]{{1,2}}\d{{1,3}}(?:[-.]\d+)?\b|{_DATED}|{_WORD}(?:[ ]{_WORD}){{0,5}}(?:[ ]\d{{1,2}}(?!\d))?"
            r"))"
        ),
        tail=re.compile(rf"(?P<name>{_NAME}|\d{{1,3}}(?:st|nd|rd|th))[ ](?P<tail>(?i:{'|'.join(_TAILS)}))\b\.?"),
        name=re.compile(_NAME),
        numbers=re.compile(
            rf"{_DIGITS},?[ ](?=[A-Z]|\d{{1,2}}(?:[ ][Tt]hang|/\d)|(?:{'|'.join(sorted(openers))})\b)"
        ),
        opened=re.compile(r"[ .][A-Z\d]"),
        tails=re.compile(r"[ ](?:St|Str|Street|Road|Ward|Tower|Palace|Building|Residence|st|str|street|road|ward|tower|palace|building|residence)\b"),
        separator=re.compile(r"\s*[,;][ ]*\n?[ ]*|[ ][-–][ ]|[ ]|\n[ ]*|\.(?=[A-Z])"),
    )


@cache
def table() -> dict[int, str]:
    """Letters with accents to those without, one for one."""
    letters = map(chr, (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)))
    return {ord(c): base for c in letters if len(base := bare(c)) == 1 and base != c}


def folded(text: str) -> str:
    """`text` without accents, of the same length."""
    return text if text.isascii() else text.translate(table())


@cache
def _written() -> dict[str, frozenset[str]]:
    """By a word without accents, the ways it may be written."""
    ways: dict[str, set[str]] = {}
    for word in f"{_FINE_WORDS},{_WARD_WORDS},{_AREA_WORDS},{_STREET_WORDS}".split(","):
        ways.setdefault(bare(word), set()).update((word, bare(word)))
    return {word: frozenset(found) for word, found in ways.items()}


@cache
def _kinds() -> dict[str, str]:
    listed = ((_FINE_WORDS, FINE), (_WARD_WORDS, WARD), (_AREA_WORDS, AREA))
    return {bare(word): kind for words, kind in reversed(listed) for word in words.split(",")}


def _fits(text: str, start: int, end: int) -> bool:
    """Whether the accents of a word that opens a part are its own, or none."""
    written = text[start:end].lower().strip(" .,")
    return written in _written().get(bare(written), frozenset((written,)))


class Reader:
    """Reads parts at places of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bare = folded(text)
        self.patterns = patterns()

    def part(self, place: int, *, first: bool) -> Part | None:
        """The part that begins at `place`; a plain name only opens no address."""
        return self._house(place) or self._unit(place) or self._tail(place) or (
            None if first else self._name(place)
        )

    def _house(self, place: int) -> Part | None:
        found = self.patterns.house.match(self.bare, place)
        if not found:
            return None
        kind, name = found["kind"], found["name"]
        if kind and not _fits(self.text, *found.span("kind")):
            return None
        if not name:
            # Without a street only what says that it is a house: `số 5 ngách 42/19`, `số nhà 31`.
            if not found["lanes"] and (not found["so"] or not self._says_house(found)):
                return None
            return Part(place, found.end("lanes"), FINE)
        if self._is_no_street(found):
            return None
        head = self.text[found.start("name") : found.end()].split(" ")[0].lower()
        if head in _NOT_STREETS or _fits_unit(head):
            if not found["lanes"] and not found["so"]:
                return None
            return Part(place, found.end("lanes"), FINE)
        end = found.end()
        if self.bare.startswith(".", end) and _SHORTENED.search(self.bare[place:end]):
            end += 1
        return Part(place, end, HOUSE)

    def _is_no_street(self, found: re.Match[str]) -> bool:
        """`1985, Áo`, `9000 BP`: a year, a quantity, a country."""
        if found["so"] or found["kind"] or found["lanes"]:
            return False
        name, number = found["name"], found["number"]
        if name.lower() in _countries() or (name.isupper() and len(name) < 4):
            return True
        between = self.bare[found.end("number") : found.start("name")]
        return number.isdigit() and ("," in between or len(number) == 4)

    def _says_house(self, found: re.Match[str]) -> bool:
        return self.text[found.start() : found.end("so")].lower().strip(" .:") in ("số nhà", "sn", "so nha", "số")

    def _unit(self, place: int) -> Part | None:
        found = self.patterns.unit.match(self.bare, place)
        if not found or not _fits(self.text, *found.span("kind")):
            return None
        word = found["kind"].lower()
        kind = _kinds()[word]
        short = len(word) == 1
        if short and not (found["kind"].isupper() or "." in self.bare[place : place + 2]):
            return None
        if short and found["name"] and "." not in self.bare[place : place + 2]:
            return None
        if kind == FINE and found["name"] and word in ("nha", "can", "ch", "cc", "doi", "khu", "km"):
            if word in ("km", "doi", "nha"):
                return None
        end = found.end()
        if found["name"]:
            end = found.start("name") + len(self._cut(found["name"]))
        return Part(place, end, kind)

    def _cut(self, name: str) -> str:
        """A name up to where the next part begins without a comma: `Phường 5 Quận 3`."""
        words = name.split(" ")
        for at in range(1, len(words)):
            if words[at].lower() in ("phuong", "quan", "huyen", "xa", "tinh", "tp", "thi", "ward"):
                following = words[at].lower() != "thi" or words[at + 1 : at + 2] in (["Xa"], ["Tran"])
                if following and at > 0 and words[at].lower() not in ("phuong", "quan"):
                    return " ".join(words[:at])
        return name

    def _tail(self, place: int) -> Part | None:
        found = self.patterns.tail.match(self.bare, place)
        return Part(place, found.end(), _TAILS[found["tail"].lower()]) if found else None

    def _name(self, place: int) -> Part | None:
        found = self.patterns.name.match(self.bare, place)
        if not found:
            return None
        words = found[0].split(" ")
        for count in range(len(words), 0, -1):
            if " ".join(words[:count]).lower() in known():
                return Part(place, place + len(" ".join(words[:count])), KNOWN)
        return Part(place, found.end(), PLAIN) if len(words) <= 4 else None

    def chain(self, place: int) -> list[Part]:
        """The parts that follow one another from `place` on, up to the last that is known to be one."""
        part = self.part(place, first=True)
        parts: list[Part] = []
        while part and len(parts) < 9:
            parts.append(part)
            between = self.patterns.separator.match(self.bare, part.end)
            if not between:
                break
            following = self.part(between.end(), first=False)
            loose = between[0].isspace() or between[0] == "."
            if following and loose and following.kind in (PLAIN, HOUSE):
                break
            if following and loose and following.kind == KNOWN and "\n" in between[0]:
                break
            part = following
        while len(parts) > 1 and parts[-1].kind in (PLAIN, HOUSE):
            parts.pop()
        return parts

    def heads(self) -> list[int]:
        """Where an address may begin, in order."""
        bare = self.bare
        found = [
            _with_word(bare, number.start())
            for number in _DIGIT_RUN.finditer(bare)
            if number.end() - number.start() < 5
            and _stands_alone(bare, number.start())
            and self.patterns.numbers.match(bare, number.start())
        ]
        last_words = _last_words()
        for opened in self.patterns.opened.finditer(bare):
            end = opened.start()
            word = bare[max(0, end - 12) : end].translate(_MARKS).rpartition(" ")[2]
            if word.lower() in last_words:
                start = _unit_before(bare, end)
                if start >= 0:
                    found.append(start)
        for tail in self.patterns.tails.finditer(bare):
            name = _NAME_BEFORE.search(self.bare, max(0, tail.start() - 40), tail.start() + 1)
            if name:
                found.append(name.start())
        return sorted(set(found))


_NAME_BEFORE: Final = re.compile(rf"(?<![\w.]){_NAME} $")


def _stands_alone(bare: str, place: int) -> bool:
    """Whether a number begins here and is no part of a longer one, or of a word."""
    before = bare[place - 1 : place]
    if before in ("k", "K"):
        return not bare[place - 2 : place - 1].isalnum()
    return not before or not (before.isalnum() or before in "./-_,@#$")


@cache
def _last_words() -> frozenset[str]:
    return frozenset(kind.rpartition(" ")[2] for kind in _kinds())


_DIGIT_RUN: Final = re.compile(r"\d+")
_MARKS: Final = dict.fromkeys(map(ord, "\n\t\"'“”‘’([{<>:;,*-–/|"), " ")


def _unit_before(bare: str, end: int) -> int:
    """Where the longest word for a part that ends at `end` begins, or -1."""
    words = bare[max(0, end - 20) : end].translate(_MARKS).lower().split(" ")[-3:]
    for skipped in range(len(words)):
        phrase = " ".join(words[skipped:])
        if phrase in _kinds():
            return end - len(phrase)
    return -1


def _with_word(bare: str, place: int) -> int:
    """Where the house begins if `số` or `số nhà` stands before its number."""
    before = bare[max(0, place - 10) : place]
    plain = before.rstrip(" .:")
    for word in ("so nha", "so", "sn", "lo", "k"):
        if plain.lower().endswith(word) and not plain[-len(word) - 1 : -len(word)].isalnum():
            return place - len(before) + len(plain) - len(word)
    return place


def _fits_unit(head: str) -> bool:
    return head in ("phường", "quận", "huyện", "tỉnh", "ward", "district")


@cache
def _countries() -> frozenset[str]:
    return frozenset(map(bare, phrases("world_places.txt")))


@cache
def known() -> frozenset[str]:
    """Places, without accents, and how people shorten them."""
    short = ("hcm", "tphcm", "hcmc", "hn", "sg", "tp", "brvt", "tt hue", "vn", "vietnam", "viet nam")
    return frozenset(bare(place) for place in places()) | frozenset(short)
