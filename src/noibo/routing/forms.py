"""The form of a prompt: an exam question with options, a word problem, code, or open.

By what is written, in any language: lettered options, numbers and a question for how many, braces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from noibo.routing.phrases import Phrases, Words

Form = Literal["choice", "problem", "code", "open"]

_OPTION: Final = re.compile(r"(?:^|\n)[ \t]*\(?([A-Ja-j])[.):]\s+([^\n]*)")
_INLINE: Final = re.compile(r"(?:(?<=\s)|^)\(?([A-E])[.)]\s")
_NUMBER: Final = re.compile(r"\d[\d.,]*")
_FORMULA: Final = re.compile(
    r"\\[a-z]+\{?|\$[^$\n]{2,80}\$|\w\^|[=≤≥<>]\s*-?\d|\d\s*[-+*/×÷]\s*\d|[∫√Σπ∑∀∃¬⊃∧∨≡]|\bf\s?\(x"
)
_CODE: Final = re.compile(
    r"(?m)^[ \t]*(?:def |class |import |from \w+ import|#include|function |const |let |var |"
    r"public |return\b|SELECT |if \(|for \(|while \(|\}|\{|<\/?\w+>).*$"
)
_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_STATEMENTS: Final = re.compile(
    r"\bStatement [12I]|\bScenario [12]|\bI+ (?:and|only)\b|\bI, II\b|mệnh đề [12I]|"
    r"phát biểu [12I]",
    re.I,
)
_NEGATIVE: Final = re.compile(
    r"\b(?:NOT|EXCEPT|LEAST|not true|is not|are not|except|incorrect|false|không đúng|không phải|"
    r"ngoại trừ|sai)\b"
)
_BLANK: Final = re.compile(r"_{3,}|…{1,}|\.{4,}")
_CLOCK: Final = re.compile(
    r"\d\s*(?:am|pm|a\.m|p\.m|:\d\d|giờ|phút|hours?|minutes?|days?|weeks?|ngày)"
)
_SHARE: Final = re.compile(r"%|\d\s*/\s*\d|\d+\.\d+|percent|phần trăm")
_MARKS: Final = re.compile(r"[?？]")


def _split(*lines: str) -> list[str]:
    return [phrase for line in lines for phrase in line.split("|")]


# Without Vietnamese words for numbers: without diacritics they are names and other words.
_WORDS: Final = Phrases(
    {
        "quantity": _split(
            "how many|how much|how long|how old|how far|how tall|how fast|what is the total",
            "what was the total|what percentage|what fraction|calculate|find the|what will be",
            "bao nhiêu|^tính|^hỏi|cuánto|cuántos|cuántas|combien|wie viel*|quanto|quanti|сколько",
            "多少|几|いくつ|いくら|何|몇|얼마",
        ),
        "number": _split(
            "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty",
            "hundred|dozen",
        ),
        "rate": _split("each|every|per|apiece|mỗi|từng|một kg|một giờ"),
        "share": _split(
            "half|third|quarter|fourth|fifth|percent|percentage|discount|fraction|một nửa",
            "phần ba|phần tư|phần trăm|giảm giá|nửa số",
        ),
        "relation": _split(
            "more than|less than|fewer than|as many|as much|twice|thrice|double|triple|times as",
            "older than|younger than|gấp đôi|gấp ba|gấp bốn|gấp mấy|nhiều hơn|ít hơn|kém hơn",
        ),
        "sequence": _split(
            "then|after|before|remaining|left|rest|later|next|initially|now|total|if|sau đó",
            "còn lại|rồi|nếu|tổng|ban đầu|lúc đầu|cả hai",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What was counted. Of a question with options: how many, their share of numbers, their words;
    of a word problem: how its numbers hang together."""

    form: Form
    questions: int = 0
    formulas: int = 0
    long_words: int = 0
    code_lines: int = 0
    options: int = 0
    option_words: float = 0.0
    number_options: float = 0.0
    stem_words: int = 0
    statements: bool = False
    negative: bool = False
    blank: bool = False
    numbers: int = 0
    rates: int = 0
    shares: int = 0
    relations: int = 0
    sequence: int = 0
    clock: int = 0


def shape_of(text: str, words: Words) -> Shape:
    """The form, and what is counted for it. `words`: those of the text."""
    options = _options(text)
    questions = len(_MARKS.findall(text))
    code = len(_CODE.findall(text)) + sum(one.count("\n") for one in _FENCE.findall(text))
    formulas = len(_FORMULA.findall(text))
    long_words = sum(len(word) > 9 for word in words.words if word.isascii())
    base = Shape("open", questions, formulas, long_words, code)
    if len(options) >= 2:
        return _choice(base, text, options)
    found = _WORDS.find(words)
    numbers = len(_NUMBER.findall(text)) + sum(
        word in found.get("number", ()) for word in words.words
    )
    if "quantity" in found and numbers >= 2 and len(words) >= 15 and code < 2:
        return _problem(base, text, words, found, numbers)
    return base if code < 2 else _with_form(base, "code")


def _options(text: str) -> list[str]:
    """The options of an exam question: lettered, in order, each on a line or all on one."""
    lines = _OPTION.findall(text)
    if len(lines) >= 2 and lines[0][0] in "Aa":
        return [said for _, said in lines]
    letters = _INLINE.findall(text)
    if letters[:3] == ["A", "B", "C"] or letters == ["A", "B"]:
        return [piece.strip() for piece in _INLINE.split(text)[2::2]]
    return []


def _choice(base: Shape, text: str, options: list[str]) -> Shape:
    sizes = [len(one.split()) for one in options]
    numeric = sum(bool(_NUMBER.search(one)) and len(one.split()) < 5 for one in options)
    stem = text[: text.find(options[0])] if options[0] else text
    return Shape(
        "choice",
        base.questions,
        base.formulas,
        base.long_words,
        base.code_lines,
        options=len(options),
        option_words=sum(sizes) / len(sizes),
        number_options=numeric / len(options),
        stem_words=len(stem.split()),
        statements=bool(_STATEMENTS.search(text)),
        negative=bool(_NEGATIVE.search(stem)),
        blank=bool(_BLANK.search(stem)),
    )


def _problem(
    base: Shape, text: str, words: Words, found: dict[str, set[str]], numbers: int
) -> Shape:
    counted = {
        name: sum(word in found.get(name, ()) for word in words.words) or len(found.get(name, ()))
        for name in ("rate", "share", "relation", "sequence")
    }
    return Shape(
        "problem",
        base.questions,
        base.formulas,
        base.long_words,
        base.code_lines,
        numbers=numbers,
        rates=counted["rate"],
        shares=counted["share"] + len(_SHARE.findall(text)),
        relations=counted["relation"],
        sequence=counted["sequence"],
        clock=len(_CLOCK.findall(text)),
    )


def _with_form(shape: Shape, form: Form) -> Shape:
    return Shape(form, shape.questions, shape.formulas, shape.long_words, shape.code_lines)
