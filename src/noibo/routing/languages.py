"""Which language a text is in, as far as an answer in the wrong one must be noticed: Vietnamese
(with and without diacritics), English, French, Spanish, German, and every other script.

By letters and by the words that sentences are made with, those alone that no other of these
languages has. No model, no list of all languages: any other in Latin letters is unknown, and
nothing is held against it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

UNKNOWN: Final = ""
_READ: Final = 6000  # characters that are looked at
LEAST_WORDS: Final = 4  # of fewer nobody can tell
CLEARLY: Final = 1.3  # times as many words of it as of any other
_WORD: Final = re.compile(r"[^\W\d_]+")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Letters that Vietnamese has and no other language written beside it here.
_OWN: Final = frozenset("ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")
_SAID: Final = {
    "vi": _words(
        "la cua va co khong duoc cho nhung cac mot nay trong voi nguoi den khi tu tai nhu ve cung "
        "phai hay toi ban gi nao sao bao nhieu hoac vi nen thi ra dang se rat lam viec neu chi "
        "biet theo giua sau truoc moi nuoc ngay nam thu xin cach nhat hom nhu the dau bang"
    ),
    "en": _words(
        "the of and to is that it for was are with be by this have from or had not but what you "
        "were which their can there we his has would will more if who about how when why where "
        "your does do did my our its these than into should could yes he she they i please"
    ),
    "fr": _words(
        "le les des est une dans pour pas qui sur avec il elle nous vous ce cette sont ou mais "
        "plus son ses aux du et la de en un que"
    ),
    "es": _words(
        "el los las una para por con que es del se su como pero sus muy esta este son al lo y la "
        "de en un no"
    ),
    "de": _words(
        "der die das und ist nicht ein eine mit den von zu im auf dem sich des auch es an wird "
        "sind als oder aber ich sie wie"
    ),
}
_TOLD: Final = {  # without the words that two of them have
    language: words - frozenset().union(*(one for name, one in _SAID.items() if name != language))
    for language, words in _SAID.items()
}
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
    plain = unicodedata.normalize("NFC", _CODE.sub(" ", text[:_READ])).casefold()
    if other := _other_script(plain):
        return other
    words = _WORD.findall(plain)
    own = sum(any(letter in _OWN for letter in word) for word in words)
    if own >= 2 and own >= 0.15 * len(words):
        return "vi"
    if len(words) < LEAST_WORDS:
        return "vi" if own and own == len(words) else UNKNOWN
    counts = {language: sum(word in told for word in words) for language, told in _TOLD.items()}
    counts["vi"] = sum(_fold(word) in _TOLD["vi"] for word in words if word.isascii() or own)
    first, second = sorted(counts.values(), reverse=True)[:2]
    if first < max(2, 0.12 * len(words)) or first <= second * CLEARLY:
        return UNKNOWN
    return max(counts, key=lambda language: counts[language])


def foreign_script(answer: str, question: str) -> str:
    """A script that an answer has a good deal of and its question none: signs of a model that has
    slipped into the language it knows best. `""` where there is none."""
    read = _CODE.sub(" ", answer[:_READ])
    found = _counted(read)
    if not found:
        return ""
    least, asked = max(3, 0.05 * sum(map(str.isalpha, read))), _counted(question[:_READ])
    return next((one for one, count in found.items() if one not in asked and count >= least), "")


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
