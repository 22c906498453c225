"""Which language a text is in, as far as an answer in the wrong one must be noticed: Vietnamese
(with and without diacritics), English, and every script that neither is written in.

By letters and by the words that sentences are made with. No model, no list of all languages: what
is neither Vietnamese nor English, in Latin letters, is unknown, and nothing is held against it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

UNKNOWN: Final = ""
LEAST_WORDS: Final = 4  # of fewer nobody can tell
_WORD: Final = re.compile(r"[^\W\d_]+")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Letters that Vietnamese has and no other language written beside it here.
_OWN: Final = frozenset("ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")
_VIETNAMESE: Final = _words(
    "la cua va co khong duoc cho nhung cac mot nay trong voi nguoi den khi tu tai nhu ve cung "
    "phai hay toi ban gi nao sao bao nhieu hoac nhung vi nen thi ra da dang se rat lam viec o "
    "the neu con chi biet theo giua sau truoc moi nuoc ngay nam"
)
_ENGLISH: Final = _words(
    "the of and to in is that it for was on are as with be by this have from or had not but what "
    "you were which their can there an they we his has would will more if who about how when why "
    "where your does do did a i my our its these than into should could no yes he she at"
)
_BOTH: Final = _VIETNAMESE & _ENGLISH
_SCRIPTS: Final = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "THAI": "th",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "LAO": "lo",
    "KHMER": "km",
    "GREEK": "el",
}
_FOLDED: Final = str.maketrans("đĐ", "dD")


def language_of(text: str) -> str:
    """`vi`, `en`, that of another script (`zh`, `ru` …), or `""` where nobody can tell. Code and
    addresses are passed over."""
    plain = unicodedata.normalize("NFC", _CODE.sub(" ", text)).casefold()
    if other := _other_script(plain):
        return other
    words = _WORD.findall(plain)
    own = sum(any(letter in _OWN for letter in word) for word in words)
    if own >= 2 and own >= 0.15 * len(words):
        return "vi"
    if len(words) < LEAST_WORDS:
        return "vi" if own and own == len(words) else UNKNOWN
    folded = [_fold(word) for word in words]
    english = sum(word in _ENGLISH and word not in _BOTH for word in words)
    vietnamese = sum(word in _VIETNAMESE and word not in _BOTH for word in folded)
    if max(english, vietnamese) < max(2, 0.12 * len(words)) or english == vietnamese:
        return UNKNOWN
    return "vi" if vietnamese > english else "en"


def foreign_script(answer: str, question: str) -> str:
    """A script that an answer has a good deal of and its question none: signs of a model that has
    slipped into the language it knows best. `""` where there is none."""
    letters = [one for one in _CODE.sub(" ", answer) if one.isalpha()]
    asked = set(_counted(question))
    for script, count in _counted(answer).items():
        if script not in asked and count >= max(3, 0.05 * len(letters)):
            return script
    return ""


def _other_script(text: str) -> str:
    """The language of a script that most of its letters are in."""
    letters = sum(one.isalpha() for one in text)
    found = _counted(text)
    if not found:
        return UNKNOWN
    language, count = found.most_common(1)[0]
    if language == "zh" and found["ja"]:
        language, count = "ja", count + found["ja"]
    return language if 2 * count > letters else UNKNOWN


def _counted(text: str) -> Counter[str]:
    """Letters of other scripts, by language."""
    found: Counter[str] = Counter()
    for one in text:
        if one > "\u036f" and not "\u1e00" <= one <= "\u1eff" and one.isalpha():
            script = unicodedata.name(one, "").partition(" ")[0]
            if script in _SCRIPTS:
                found[_SCRIPTS[script]] += 1
    return found


def _fold(word: str) -> str:
    """Without diacritics."""
    apart = unicodedata.normalize("NFD", word.translate(_FOLDED))
    return "".join(one for one in apart if not unicodedata.combining(one))
