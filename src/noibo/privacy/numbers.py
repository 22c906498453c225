"""The numbers of a text, as they are written: groups of digits and what stands between them.

One pass over the text finds places with six digits or more; only these are looked at closely. What
was written as one number is one: `0912 345 678`, `001.123.456.789`, `+84 (0) 91-234-5678`; what are
two stay two: `01/02/1990 0912345678`. Text that no number can come of costs one scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

# Six digits, or what may be an address of the network or a short date: 10.0.0.7, 5/3/90.
_PLACE: Final = re.compile(
    r"[0-9](?:(?:[ \t.\-()/]{0,3}[0-9]){5,}|[0-9]{0,2}(?:[./\-][0-9]{1,4}){2,3})"
)
# Groups with a sign between them that amounts, lists and dates seldom have: 4111_1111_1111_1111.
_ODDLY: Final = re.compile(
    r"(?<![0-9])(?<![0-9][_|,·•~*:;=])[0-9]{3,4}([_|,·•~*:;=])[0-9]{3,4}(?:\1[0-9]{3,6}){1,2}"
    r"(?!\1?[0-9])"
)
_ODD_SIGN: Final = re.compile(r"[_|,·•~*:;=](?<=[0-9]{3}.)[0-9]{3}")  # a faster look
_GROUP: Final = re.compile(r"[0-9]+")
_IN_PHONE: Final = re.compile(r"\)?[ .\-]{0,2}\(?")
_MOST_GROUPS: Final = 20
_MOST_DIGITS: Final = 24

NO, POSSIBLE, CERTAIN = 0, 1, 2  # how well a number fits what it would be


def codes(text: str) -> frozenset[str]:
    """A table of short codes, written as a text with spaces between."""
    return frozenset(text.split())


# Lengths of the groups in which numbers are written, but for those with a plus.
_SHAPES: Final = frozenset(
    tuple(map(int, shape.split("-")))
    for shape in codes(
        # phones in Vietnam, and landlines with seven and eight digits behind the area code
        "4-3-3 3-3-4 3-4-3 4-6 3-7 4-2-2-2 4-4-2 2-4-4 4-2-4 5-5 3-2-2-3 2-2-2-2-2 3-3-2-2 3-2-3-2"
        " 3-4-4 4-4-4 4-3-4 4-4-3 4-7 3-8 4-8 2-3-4-3 2-3-3-4 2-2-3-4 2-3-3-3 2-9 2-2-2-2-3 4-3-2-2"
        # cards
        " 4-4-4-4 4-6-5 4-6-4 4-4-4-4-3 8-8 4-4-4-1 4-5-6"
        # identity cards, old and new
        " 3-3-6 3-1-2-6 3-3-3-3 3-9 6-6 3-3-3 3-6 4-5 3-4-5"
        # tax codes and their branches, social insurance
        " 10-3 2-7-1 2-7-1-3 4-3-3-3 2-8 2-2-6 2-3-2-3 1-3-3-3"
        # American social security, dates
        " 3-2-4 2-2-4 1-2-4 2-1-4 1-1-4 4-2-2 4-1-2 4-2-1 4-1-1 2-2-2 1-2-2 2-1-2 1-1-2"
    )
)


class Number(NamedTuple):
    """`groups`: how many digits stand together; `separator`: what is between them, empty where
    there is one group, "?" where it is not always the same. `plus`: it began with one."""

    start: int
    end: int
    digits: str
    groups: tuple[int, ...]
    separator: str = ""
    plus: bool = False

    @property
    def amount(self) -> bool:
        """Written as amounts are: 12.345.678, and no number that begins with nought."""
        return (
            self.separator == "."
            and self.groups[0] < 4
            and self.digits[0] != "0"
            and all(size == 3 for size in self.groups[1:])
        )


def numbers(text: str) -> Iterator[Number]:
    """Every number in `text` that could say something, from left to right."""
    for place in _PLACE.finditer(text):
        start, end = place.span()
        plus = start > 0 and text[start - 1] == "+"
        if not plus and start > 1 and text[start - 2 : start] == "+(":
            plus = True
        if end - start < 20 and (found := place[0]).isdigit():
            yield Number(start - plus, end, found, (end - start,), "", plus)
        else:
            yield from _apart(text, start, end, plus)


def oddly_apart(text: str) -> Iterator[Number]:
    """Numbers whose groups have an unusual sign between them, always the same."""
    if not _ODD_SIGN.search(text):
        return
    for found in _ODDLY.finditer(text):
        groups = found[0].split(found[1])
        sizes = tuple(map(len, groups))
        yield Number(found.start(), found.end(), "".join(groups), sizes, "-")


def _apart(text: str, start: int, end: int, plus: bool) -> Iterator[Number]:
    """The numbers in a place that holds more than digits."""
    groups = [group.span() for group in _GROUP.finditer(text, start, end)]
    at = 0
    if plus:
        count = _international(text, groups)
        yield _number(text, groups[:count], plus=True)
        at = count
    while at < len(groups):
        count = _together(text, groups, at)
        number = _number(text, groups[at : at + count])
        if len(number.digits) >= 6 or len(number.groups) > 2:
            yield number
        at += count


def _international(text: str, groups: list[tuple[int, int]]) -> int:
    """How many groups belong to a number that began with a plus: not over fifteen digits."""
    digits = count = 0
    most = 15
    for begin, end in groups[:_MOST_GROUPS]:
        if count == 0 and text.startswith("84", begin):
            # Vietnam's own are no longer than that, and two are often written in a row. With the
            # nought as well, +84 (0)28 3822 9999, they have one digit more.
            nought = len(groups) > 1 and text[slice(*groups[1])] == "0"
            most = 13 if nought else 12
        if count and (
            digits + end - begin > most
            or not _IN_PHONE.fullmatch(text, groups[count - 1][1], begin)
        ):
            break
        digits += end - begin
        count += 1
        if most < 15 and digits >= most - 1:
            break
    return max(count, 1)


def _together(text: str, groups: list[tuple[int, int]], at: int) -> int:
    """How many groups from here on are one number."""
    alike = _alike(text, groups, at)
    if alike == 4 and text[groups[at][1]] == "." and _octets(groups[at : at + 4]):
        return 4
    if text[slice(*groups[at])] == "84" and (count := _without_plus(text, groups[at:])):
        return count
    if count := _shaped(groups, at, alike):
        return count
    if groups[at][1] - groups[at][0] >= 6:
        return 1
    if count := _mixed(text, groups, at):
        return count
    count, digits = 1, groups[at][1] - groups[at][0]
    while count < alike:
        begin, end = groups[at + count]
        digits += end - begin
        if digits > _MOST_DIGITS or end - begin >= 9:
            break
        short = groups[at][1] - groups[at][0] < 4
        if short and not _tight(text, groups, at + count) and _begins(text, groups, at + count):
            break  # the house's number before a phone: 12 0912 345 678
        count += 1
    return count


def _mixed(text: str, groups: list[tuple[int, int]], at: int) -> int:
    """How many groups make a phone in whose writing nobody took care: 0283.9250 123; 0 if none."""
    first, last = groups[at]
    if text[first] != "0" or last - first < 3:
        return 0
    digits = 0
    for count, (begin, end) in enumerate(groups[at : at + 6], 1):
        if count > 1 and text[groups[at + count - 2][1] : begin] not in (" ", ".", "-"):
            return 0
        digits += end - begin
        if digits >= 10:
            return count if digits < 12 and end - begin < 8 else 0
    return 0


def _tight(text: str, groups: list[tuple[int, int]], at: int) -> bool:
    """Whether a group hangs on the one before it by a mere sign, and is not how a phone begins:
    `211.00.12.673162`, but not `12.0912.345.678`."""
    begin = groups[at][0]
    phone = text[begin] == "0" and text[begin + 1 : begin + 2] != "0"
    return not phone and not text[groups[at - 1][1] : begin].isspace()


def _begins(text: str, groups: list[tuple[int, int]], at: int) -> bool:
    """Whether a number of nine digits or more, of a known shape in three groups, begins here."""
    count = _shaped(groups, at, _alike(text, groups, at))
    return count > 2 and sum(end - begin for begin, end in groups[at : at + count]) > 8


def _without_plus(text: str, groups: list[tuple[int, int]]) -> int:
    """How many groups make a phone of Vietnam's behind 84; 0 if none."""
    count = _international(text, groups)
    digits = sum(end - begin for begin, end in groups[:count])
    return count if count > 1 and 11 <= digits <= 12 else 0


def _octets(groups: list[tuple[int, int]]) -> bool:
    return all(end - begin < 4 for begin, end in groups)


def _shaped(groups: list[tuple[int, int]], at: int, alike: int) -> int:
    """How many groups from here on have a known shape, at most so many; 0 if none. A date is one
    only where nothing goes on after it."""
    sizes = tuple([end - begin for begin, end in groups[at : at + alike]])
    for count in range(alike, 1, -1):
        if sizes[:count] in _SHAPES and (count == alike or sum(sizes[:count]) > 8):
            return count
    return 0


def _alike(text: str, groups: list[tuple[int, int]], at: int) -> int:
    """How many groups from here on have the same between them."""
    last = min(len(groups), at + _MOST_GROUPS) - 1
    if at >= last:
        return 1
    first = text[groups[at][1] : groups[at + 1][0]].strip()
    count = 1
    if first == ")" and text[groups[at][0] - 1 : groups[at][0]] == "(":
        count, at = 2, at + 1  # (028) 3822 1234
        first = text[groups[at][1] : groups[at + 1][0]].strip() if at < last else ""
    while at < last and text[groups[at][1] : groups[at + 1][0]].strip() == first:
        count += 1
        at += 1
    return count


def _number(text: str, groups: list[tuple[int, int]], *, plus: bool = False) -> Number:
    start, end = groups[0][0], groups[-1][1]
    if len(groups) == 1 and not plus:
        return Number(start, end, text[start:end], (end - start,))
    between = {text[a[1] : b[0]].strip() or " " for a, b in pairwise(groups)}
    if plus:
        start = text.rindex("+", 0, start)
    if len(groups) > 1 and start and text[start - 1] == "(" and ")" in text[start:end]:
        start -= 1
    return Number(
        start,
        end,
        "".join([text[begin:stop] for begin, stop in groups]),
        tuple([stop - begin for begin, stop in groups]),
        (between.pop() if len(between) == 1 else "?") if between else "",
        plus,
    )
