"""What speaks for and against a candidate being somebody's name, as words that weights are for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import and_, or_
from typing import Final, NamedTuple

from noibo.privacy.names_candidates import Candidate
from noibo.privacy.names_context import after, before
from noibo.privacy.names_lexicon import (
    CALENDAR,
    COMMON,
    FREQUENT_SURNAME_VI,
    FUNCTION,
    GIVEN,
    GIVEN_VI,
    HONORIFIC,
    ORGANISATION,
    OTHER_VIETNAMESE,
    PLACE,
    STREET,
    SURNAME,
    SURNAME_VI,
    compounds,
    halves,
    historic,
    named,
    places,
)
from noibo.privacy.names_lexicon import kinds as kinds_of

_VIETNAMESE: Final = GIVEN_VI | SURNAME_VI
_ENDINGS: Final = re.compile(
    r"(?:ov|ova|ová|ev|eva|sen|sson|son|dóttir|dottir|ić|ič|ski|ska|sky|czyk|vich|ez|berg|mann|"
    r"man|ini|elli|etti|ucci|opoulos|idis|yan|enko|chuk|escu|eanu|nen|kar|shi|moto|mura|yama|"
    r"quist|qvist|gren|lund|strom|ström|feld|stein|baum|smith|ton|ley|aitis|ius|kova|ková)$"
)
_PLACE_ENDINGS: Final = re.compile(
    r"(?:ville|burg|burgh|borough|bury|ton|town|ford|shire|land|stan|ia|city|field|mouth|dorf|"
    r"heim|by|stad|havn|vik|grad|polis|abad|pur|eyri|eyjar|bær|fjörður|hreppur|berg|lands)$"
)
_OF_PEOPLES: Final = re.compile(r"[KHY]['’][A-ZĐ]")  # K'Brửi, H'Hen, Y'Moan
_SYLLABLE: Final = re.compile(r" [^\W\d_]+")
_MIDDLES: Final = frozenset({"thị", "văn", "thi", "van", "đình", "hữu", "ngọc", "minh"})


# A customer or a patient may bear the name of a king.
REFUSED: Final = frozenset({"historic", "place", "nothing"})
_NAMED: Final = GIVEN_VI | GIVEN | SURNAME
_SPOKEN_OF: Final = frozenset({"l:label", "l:client", "l:intro", "l:honorific"})
_CALLING: Final = frozenset({"l:label", "l:client", "l:intro", "l:role", "l:greeting", "l:verb"})
_LABELS: Final = frozenset(
    ("cha", "mẹ", "bố", "kho", "toán", "văn", "sử", "địa", "nhận", "gửi", "giao", "nhan", "gui",
     "tên", "tuổi", "quê", "sinh", "hàng", "loại", "màu", "tổ", "nhóm", "khoa", "viện",
     "tổng", "quý", "giá")
)  # fmt: skip
_THI_VAN: Final = frozenset({"Thị", "THỊ", "Văn", "VĂN"})
_TOWNS: Final = frozenset({"đô", "siêu", "thành", "cao"})
_REACHED: Final = re.compile(
    r"[ ,;:(|\-–]{1,4}(?:(?:sdt|sđt|đt|dt|tel|cccd|cmnd|số điện thoại|điện thoại|mst)\b"
    r"|(?:\+84|0)\d[\d .]{7})",
    re.IGNORECASE,
)
_GENDER: Final = re.compile(r"[–\-|/;\t\"']\s?$|,$")
_BETWEEN: Final = frozenset({", ", " and ", " và ", " & ", ", and ", " va ", " or "})


class Evidence(NamedTuple):
    """`shape`: what a candidate looks like, in a word. `own`: features of its words. `around`:
    those of what stands around it, which weigh by themselves and together with the shape."""

    shape: str
    own: tuple[str, ...]
    around: list[str]

    def names(self) -> list[str]:
        """All of its features, as they are learnt."""
        both = [f"{self.shape}&{feature}" for feature in self.around]
        return ["bias", self.shape, *self.own, *self.around, *both]


def evidence(text: str, found: Sequence[Candidate]) -> list[Evidence]:
    """For each candidate, also with what the one before and the one after it in a row look like:
    `Anna, Ben and Carla`."""
    told = [_evidence(text, candidate) for candidate in found]
    for at in range(1, len(found)):
        between = found[at].start - found[at - 1].end
        if between < 7 and text[found[at - 1].end : found[at].start] in _BETWEEN:
            for here, there in ((at, at - 1), (at - 1, at)):
                cut = found[there].cut_right & ORGANISATION
                told[here].around.append("n:organisation" if cut else "n:" + told[there].shape)
    return told


def _evidence(text: str, candidate: Candidate) -> Evidence:
    start, end, tokens, kinds, cut_left, cut_right = candidate
    shape, own = _look(tokens, kinds)
    if shape == "acronym" or (len(tokens) < 3 and _is_thing(text, candidate)):
        return Evidence("nothing", own, [])
    left = before(text, start)
    if cut_left and _CALLING.isdisjoint(left):
        left = _cut(cut_left)
    if shape in REFUSED:
        reached = shape != "place" and _reached(text, end)  # a branch has a number too
        if _SPOKEN_OF.isdisjoint(left) and not reached:
            return Evidence(shape, own, [])
        shape = "full"
    right = after(text, end) if not cut_right else _tail(cut_right)
    return Evidence(shape, own, left + right)


def _reached(text: str, end: int) -> bool:
    """Whether a telephone or an identity card follows: no king has one."""
    return _REACHED.match(text, end) is not None


def _is_thing(text: str, candidate: Candidate) -> bool:
    """`Kho:`, `Thư` of "Thư ký", `BẢO HÀNH`, `P. Hành` of "P. Hành chính": a word or two for a
    thing."""
    words = [token.lower() for token in candidate.tokens]
    if len(words) == 1:
        if words[0] in _LABELS and text.startswith(":", candidate.end):
            return True
        return _in_compound(text, candidate, words[0]) or _is_gender(text, candidate)
    if len(words[0].rstrip(".")) == 1:
        following = _SYLLABLE.match(text, candidate.end)
        return following is not None and f"{words[1]}{following[0]}".lower() in compounds()
    return " ".join(words) in compounds() and not candidate.cut_left & HONORIFIC


def _is_gender(text: str, candidate: Candidate) -> bool:
    """`– Nam –` in a row about somebody."""
    if candidate.tokens not in (("Nam",), ("NAM",)):
        return False
    between = text[candidate.end : candidate.end + 2].strip(" ")[:1]
    left = text[max(0, candidate.start - 3) : candidate.start]
    return between in "–-|/;\t,\"'" and between != "" and _GENDER.search(left) is not None


def _in_compound(text: str, candidate: Candidate, word: str) -> bool:
    """`Thư` of "Thư ký", `Trần` of "nhà Trần": a part of a word or a phrase, not a name."""
    begins, goes_on = halves()
    following = _SYLLABLE.match(text, candidate.end) if word in begins else None
    if following and f"{word}{following[0]}".lower() in compounds():
        return True
    if word not in goes_on:
        return False
    before = text[max(0, candidate.start - 8) : candidate.start]
    if not before.endswith(" "):
        return False
    if word in named("lower given") and kinds_of[before[:-1].rpartition(" ")[2]] & HONORIFIC:
        return False  # Anh Hùng: a hero would have a small letter
    return f"{before[:-1].rpartition(' ')[2].lower()} {word}" in compounds()


def _cut(kind: int) -> list[str]:
    """Classes of the word before in the same run, as if it stood in the text around."""
    if kind & HONORIFIC:
        return ["l:honorific"]
    if kind & ORGANISATION:
        return ["l:organisation"]
    if kind & FUNCTION:
        return ["l:function"]
    if kind & STREET:
        return ["l:street"]
    if kind & PLACE:
        return ["l:known"]
    return ["l:run"]


def _tail(kind: int) -> list[str]:
    return ["r:organisation"] if kind & ORGANISATION else ["r:run"]


@lru_cache(8192)
def _look(tokens: tuple[str, ...], kinds: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
    """The shape of a name and the features of its words."""
    return _form(tokens, kinds), tuple(_words(tokens, kinds))


def _form(tokens: tuple[str, ...], kinds: tuple[int, ...]) -> str:
    """One word for what the name looks like; what stands around weighs by it."""
    phrase = " ".join(tokens).lower()
    if phrase in historic():
        return "historic"
    if phrase in places() and (len(tokens) > 1 or not kinds[0] & _NAMED):
        return "place"
    if len(tokens) == 1:
        return _form_of_one(tokens[0], kinds[0])
    if len(tokens) > 2 and tokens[1] in _THI_VAN and tokens[0].lower() not in _TOWNS:
        kinds = (kinds[0] | SURNAME_VI, *kinds[1:])  # Ôn Thị Trân: whatever stands before it
    odd = OTHER_VIETNAMESE if kinds[0] & SURNAME_VI else 0
    if kinds[0] & FREQUENT_SURNAME_VI and kinds[1] & _VIETNAMESE:
        odd |= GIVEN  # Lê Quang Jane
    if 0 in [kind & (_VIETNAMESE | odd) for kind in kinds]:
        return _foreign_form(tokens, kinds)
    return _vietnamese_form(kinds)


def _vietnamese_form(kinds: tuple[int, ...]) -> str:
    surname = "rare" if kinds[0] & SURNAME_VI else "given"
    if kinds[0] & FREQUENT_SURNAME_VI:
        surname = "full"
    return f"vi-{surname}{2 if len(kinds) == 2 else 3}"


def _foreign_form(tokens: tuple[str, ...], kinds: tuple[int, ...]) -> str:
    last = kinds[-1] & SURNAME or _ENDINGS.search(tokens[-1].lower())
    listed = bool(kinds[0] & GIVEN) + bool(last)
    if listed:
        return "full" if listed == 2 else "half"
    return "common2" if any(kind & COMMON for kind in kinds) else "unknown2"


def _form_of_one(token: str, kind: int) -> str:
    if kind & HONORIFIC:
        return "title-word"
    if kind & PLACE:
        return "vi-place" if kind & _VIETNAMESE else "place-name"
    named = "given" if kind & GIVEN else "surname" if kind & SURNAME else ""
    if kind & (COMMON | CALENDAR | FUNCTION):
        if named:
            return "common-" + named
        return "vi-common" if kind & _VIETNAMESE else "common"
    return named or ("vi-one" if kind & _VIETNAMESE else _form_of_unlisted(token))


def _form_of_unlisted(token: str) -> str:
    if _OF_PEOPLES.match(token):
        return "person-like"
    if token.isupper() and len(token) < 6:
        return "acronym"
    return "person-like" if _ENDINGS.search(token.lower()) else "unknown"


def _words(tokens: tuple[str, ...], kinds: tuple[int, ...]) -> list[str]:
    """Features of the words themselves."""
    found = [f"words:{min(len(tokens), 6)}"]
    if all(map(str.isupper, tokens)) and len(tokens[0]) > 1:
        found.append("capitals" if len(tokens) > 1 else "capitals1")
    if len(tokens) > 1:
        if tokens[1].lower() in _MIDDLES and kinds[0] & SURNAME_VI:
            found.append("middle")
        if 1 in [len(token.rstrip(".")) for token in tokens[1:]]:
            found.append("initial")
        either = reduce(or_, kinds)
        if either & PLACE:
            found.append("place-inside")
        if either & COMMON:
            if COMMON in [kind & (COMMON | _VIETNAMESE) for kind in kinds]:
                found.append("common-inside")
            if reduce(and_, kinds) & COMMON:
                found.append("common-all")
        if kinds[0] & GIVEN and kinds[-1] & SURNAME:
            found.append("given-surname")
    last = tokens[-1].lower()
    found += _ending(last)
    if "-" in tokens[0] or "-" in last:
        found.append("hyphen")
    if any(map(_camel, tokens)):
        found.append("camel")
    return found


@lru_cache(8192)
def _ending(word: str) -> tuple[str, ...]:
    """What the end of a word speaks for."""
    surname = ("ending",) if _ENDINGS.search(word) else ()
    return (*surname, "place-ending") if _PLACE_ENDINGS.search(word) else surname


def _camel(token: str) -> bool:
    """`OpenAI`, `iPhone`: capitals inside, but for those of McDonald, O'Neill and all capitals."""
    inside = token[1:]
    if token.isupper() or inside.islower() or not inside:
        return False
    return not re.match(
        r"(?:Mc|Mac|Fitz|De|La|Le|Di|Van|O['’]|D['’]|H['’])?\w+(?:['’\-]\w+)*$", token
    ) or (
        re.search(r"[a-z][A-Z]", re.sub(r"^(?:Mc|Mac|Fitz|De|La|Le|Di|Van)", "", token)) is not None
    )
