"""The words around the parts of a machine, as people write them in English and in Vietnamese.

All is read without accents: `card đồ họa rời`, `card do hoa roi`, and accents that stand as letters
of their own are the same.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from noibo.errors import UsageError

EXAMPLES: Final = "`RTX 3060 12GB, 32GB`, `2x RTX 3090, 64GB`, `M2 Max 64GB`, `CPU 16GB`"
_FOLDED: Final = str.maketrans("đĐ", "dD")
_DECIMAL: Final = re.compile(
    r"(?<![\w.,])(\d{1,2}|\d{3}(?=,0)),(\d)(?=\s*[tgm]i?b\b)", re.IGNORECASE
)
_GPU: Final = r"(?:gpus?|vga|(?:graphics\s+)?cards?)(?:\s+(?:do\s+hoa|man\s+hinh|roi))*"
_NO_GPU: Final = (
    rf"\b(?:khong(?:\s+(?:co|dung))?|no|without)\s+(?:(?:dedicated|discrete)\s+)?{_GPU}\b",
    rf"\b{_GPU}\s*[:=]?\s*(?:khong(?:\s+co)?|none|no)\b",
    rf"\b{_GPU}\s+(?:onboard|tich\s+hop)\b",
    r"\bintegrated\s+(?:graphics|gpu)\b",
)
# A memory's speed and a clock, a screen's size, and `or the like`.
_BESIDE: Final = (
    r"(?<=ddr\d)x?(?:[^\S\n]|[@-])+\d{4,5}\b(?!\s*[tgm]i?b\b)(?:\s*(?:mhz|mt/?s)\b)?",
    r"\bbus(?:\s+ram)?[\s:]*\d{4,5}(?:\s*mhz)?\b",
    r"@?\s*\b\d{3,5}\s*(?:mhz|mt/?s)\b",
    r"@?\s*\b\d+(?:[.,]\d+)?\s*ghz\b",
    r"\b\d{2}(?:[.,]\d)?(?:\s*-?\s*inch(?:es)?\b|\s*[\"”″])",
    r"\b(?:hoac|or)\s+(?:tuong\s+duong|equivalent|similar|better|more|hon)\b|\btro\s+len\b",
)
_NOTHING: Final = re.compile("|".join((*_NO_GPU, *_BESIDE)), re.IGNORECASE)
_LAPTOP: Final = re.compile(r"\b(?:laptops?|notebooks?|(?:may\s+tinh\s+)?xach\s+tay)\b", re.I)
_MACS: Final = re.compile(
    r"\b(?:macbook\s+(?:pro|air)|macbook|mac\s+(?:mini|studio|pro)|imac|apple)\b"
    r"(?:[\s-]+(?:1[1-7]|2[147])(?!\S))?(?:\s+20[12]\d\b)?",
    re.IGNORECASE,
)
# Words that name no part: what is left without them must be a card or a processor.
_WORDS: Final = (
    "cpus?|gpus?|vga|graphics|only|ram|vram|memory|cards?|of|unified|bus|pc|desktop|server|chip|"
    "may|tinh|chu|ban|bo|nho|do|hoa|roi|man|hinh|vi|xu|ly|chi|co|cai|con|chiec|thanh"
)
_FILLERS: Final = re.compile(rf"\b(?:{_WORDS})\b|[:()/@=]|(?<!\w)-|-(?!\w)", re.IGNORECASE)
_LEADING: Final = re.compile(rf"^(?:\b(?:{_WORDS})\b|[:()/@=\s-])+", re.IGNORECASE)
_COUNT: Final = re.compile(
    r"^(\d{1,3})\s*(?:[x×*]\s*|(?=\s(?:cards?|gpus?|vga|cai|con|chiec|thanh|nvidia|geforce|tesla|"
    r"quadro|titan|radeon|arc|rtx|gtx|rx|[abhlptv]\d)))",
    re.IGNORECASE,
)
_COUNT_BEHIND: Final = re.compile(
    r"(?:(?:^|[\s(])[x×*]\s*|(?<=\d)[x×*])(\d{1,2})\s*\)?\s*$", re.IGNORECASE
)
_IS_GPU: Final = re.compile(r"\b(?:gpus?|cards?|vga)\b", re.IGNORECASE)


def plain(text: str) -> str:
    """A line without accents and without what changes nothing: clocks, sizes of screens, that there
    is no GPU. `12,0GB` is written with a point."""
    letters = unicodedata.normalize("NFD", text).translate(_FOLDED)
    line = "".join(one for one in letters if not unicodedata.combining(one))
    return _NOTHING.sub(" ", _DECIMAL.sub(r"\1.\2", line))


def without_laptop(line: str) -> tuple[str, bool]:
    """The line without the word, and whether it was there."""
    rest = _LAPTOP.sub(" ", line)
    return rest, rest != line


def counted(words: str) -> tuple[int, str]:
    """How many there are of what the words name, and the words: `2x`, `2 card`, `x2`."""
    words = _LEADING.sub("", words)
    if found := _COUNT.match(words):
        return int(found[1]), words[found.end() :]
    if found := _COUNT_BEHIND.search(words):
        return int(found[1]), words[: found.start()]
    return 1, words


def name_in(words: str) -> str:
    """What is left of the words when all that names no part is gone."""
    return " ".join(_FILLERS.sub(" ", _MACS.sub(" ", words)).split())


def is_of_gpu(words: str) -> bool:
    """Whether they say so."""
    return bool(_IS_GPU.search(words))


def refusal(message: str, step: str = "") -> UsageError:
    """Of a line that is not understood, with what can be written."""
    return UsageError(message, next_step=f"{step} Write it as {EXAMPLES}.".strip())
