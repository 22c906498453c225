"""What is plainly wrong with an answer, without knowing what would be right: nothing in it, a
refusal, a loop, another language than was asked in, a form that was not kept to, an end that is
missing. Each is a function over text; each would rather miss a fault than invent one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from noibo.routing.languages import foreign_script, language_of

_SAID: Final = re.compile(r"[^\W_]")
_THOUGHTS: Final = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_WORD: Final = re.compile(r"\S+")
_NUMBERING: Final = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s", re.MULTILINE)
_LETTER: Final = re.compile(r"[^\W\d_]")
_BEGINNING: Final = 240  # characters in which a refusal is said

# "I cannot" in front of what an assistant is for; not "I cannot recommend it enough".
_CANNOT: Final = (
    r"(?:i(?:'m| am)?\s+(?:really |very |so |truly )?(?:sorry|afraid)\b[^.!?\n]{0,40}"
    r"\b(?:can(?:'t|not| not)|unable|not able|won't|do not|don't)\b)",
    r"(?:\bi\s*(?:can(?:'t|not| not)|am not able to|'m not able to|am unable to|'m unable to|"
    r"won't|will not|must decline to)\s+(?:be able to\s+)?"
    r"(?:help|assist|answer|provide|comply|fulfil+|do that|discuss|engage|process|access|browse|"
    r"give you|offer|respond|complete|support|generate|create|determine|continue))",
    r"(?:\bi\s+(?:do not|don't)\s+(?:have\s+(?:\w+\s+){0,3}(?:information|access|data|knowledge|"
    r"ability|context|details)|know\b(?!\s+(?:if|whether)\s+you)))",
    r"(?:\bas an? (?:ai|artificial intelligence|language model|large language model|assistant)\b"
    r"[^.!?\n]{0,80}\b(?:can(?:'t|not| not)|unable|not able|don't|do not|am not)\b)",
    r"(?:\b(?:there is|i have) (?:no|not enough|insufficient) (?:information|context|data)\b)",
)
_KHONG_THE: Final = (
    r"(?:xin lỗi|rất tiếc|thành thật xin lỗi)[^.!?\n]{0,60}\bkhông (?:thể|có|biết|được phép|rõ)\b",
    r"\b(?:tôi|mình|em) (?:hiện |hiện tại |chưa |rất tiếc )*không (?:thể|được phép|có khả năng) "
    r"(?:giúp|hỗ trợ|trả lời|cung cấp|thực hiện|đáp ứng|truy cập|xử lý|tiết lộ|đưa ra|xác định)",
    r"\b(?:tôi|mình|em) (?:hiện |hiện tại )?(?:không|chưa) (?:có|tìm thấy|nắm) (?:đủ |được )?"
    r"(?:thông tin|dữ liệu|quyền truy cập|khả năng|ngữ cảnh)",
    r"\b(?:tôi|mình|em) (?:cũng )?không (?:biết|rõ|chắc)\b",
    r"\blà (?:một )?(?:mô hình ngôn ngữ|trợ lý ảo|trợ lý ai|ai|trí tuệ nhân tạo)\b[^.!?\n]{0,80}"
    r"\bkhông (?:thể|có)\b",
)
_REFUSAL: Final = re.compile("|".join((*_CANNOT, *_KHONG_THE)), re.IGNORECASE)
# A request for words that somebody else is to say: a refusal may be what was asked for.
_ASKS_FOR_WORDS: Final = re.compile(
    r"\b(?:translat\w*|rewrit\w*|write|draft|compose|paraphras\w*|quote|correct|proofread|"
    r"e-?mail|letter|role-?play|dịch|viết|soạn|sửa|thư|lời thoại|đóng vai)\b",
    re.IGNORECASE,
)
_ASKS_TO_REPEAT: Final = re.compile(
    r"\b(?:repeat\w*|times|lặp lại|nhắc lại|lần|copies|lyrics|chorus|poem|song|thơ|bài hát|hát)\b",
    re.IGNORECASE,
)
_ASKS_FOR_LANGUAGE: Final = re.compile(
    r"\b(?:translat\w*|in (?:english|vietnamese|french|german|spanish|chinese|japanese|korean|"
    r"russian)|dịch|phiên dịch|(?:bằng |sang |ra )?tiếng (?:anh|việt|pháp|đức|trung|nhật|hàn|nga|"
    r"tây ban nha)|english|vietnamese|dich (?:sang|ra)|tieng (?:anh|viet))\b",
    re.IGNORECASE,
)
_LEAST_LOOP: Final = 3  # times that something is said before it is a loop
_LEAST_LOOP_WORDS: Final = 12  # words that a loop takes up
_LAST_WORDS: Final = 2000  # that are looked at for a loop: the time for an answer is bounded
_FOURS: Final = 4
_LEAST_FOR_FOURS: Final = 60
_LEAST_NEW: Final = 0.35  # share of the runs of four words that are new in a text that goes on


def said(text: str) -> str:
    """What an answer says, without what its model thought first."""
    return _THOUGHTS.sub("", text).strip()


def is_empty(text: str) -> bool:
    """No letter and no digit in it."""
    return _SAID.search(said(text)) is None


def is_echo(text: str, question: str) -> bool:
    """It gives back what was asked, and nothing else."""
    plain = " ".join(said(text).casefold().split())
    asked = " ".join(question.casefold().split())
    return len(asked) >= 12 and plain.rstrip(".?! ") == asked.rstrip(".?! ")


def is_refusal(text: str, question: str = "") -> bool:
    """It says, in English or Vietnamese, that it will not or cannot answer."""
    beginning = unicodedata.normalize("NFC", said(text)[:_BEGINNING]).replace("\u2019", "'")
    if _REFUSAL.search(beginning) is None:
        return False
    return _ASKS_FOR_WORDS.search(unicodedata.normalize("NFC", question)) is None


def is_loop(text: str, question: str = "") -> bool:
    """It says the same again and again, at its end or on the whole."""
    if _ASKS_TO_REPEAT.search(unicodedata.normalize("NFC", question)):
        return False
    words = _WORD.findall(_NUMBERING.sub(" ", said(text).casefold()))
    return _circles(words[-_LAST_WORDS:]) or _hardly_new(words)


def other_language(text: str, question: str) -> str:
    """The language that it is in where another was asked in, `""` where all is well or nobody can
    tell. A question about languages, or for one, may be answered in any."""
    if _ASKS_FOR_LANGUAGE.search(unicodedata.normalize("NFC", question)):
        return ""
    answer = said(text)
    if script := foreign_script(answer, question):
        return script
    asked, found = language_of(question), language_of(answer)
    return found if asked and found and asked != found else ""


def is_unclosed(text: str) -> bool:
    """A block of code has a beginning and no end."""
    return said(text).count("```") % 2 == 1


def _circles(words: list[str]) -> bool:
    """The last words stand there three times or more, one after another. An end that was cut off
    in the middle of the circle is part of it."""
    longest = len(words) // _LEAST_LOOP
    for period in range(1, longest + 1):
        run = period
        while run < len(words) and words[-run - 1 + period] == words[-run - 1]:
            run += 1
        if run >= max(_LEAST_LOOP * period, _LEAST_LOOP_WORDS) and any(
            _LETTER.search(word) for word in words[-period:]
        ):
            return True
    return False


def _hardly_new(words: list[str]) -> bool:
    if len(words) < _LEAST_FOR_FOURS:
        return False
    runs = [tuple(words[place : place + _FOURS]) for place in range(len(words) - _FOURS + 1)]
    runs = [run for run in runs if any(_LETTER.search(word) for word in run)]
    return len(runs) >= _LEAST_FOR_FOURS // 2 and len(set(runs)) < _LEAST_NEW * len(runs)
