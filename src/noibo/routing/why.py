"""Why a prompt counts as easy or hard, in words: what weighed most, in English or in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from noibo.routing import cues, subjects
from noibo.routing.features import Features

LEAST: Final = 0.15  # log-odds under which nothing is told
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "choice": ("multiple choice", "câu hỏi trắc nghiệm"),
    "problem": ("a word problem", "bài toán có lời văn"),
    "code": ("code", "có mã nguồn"),
    "choice_length": ("length of the question", "độ dài câu hỏi"),
    "choice_options": ("number of options", "số lựa chọn"),
    "choice_statements": ("statements to be judged together", "phải xét nhiều mệnh đề"),
    "choice_negative": ("asks for what is not so", "hỏi điều không đúng"),
    "choice_numbers": ("options are numbers", "các lựa chọn là số"),
    "choice_blank": ("a blank to fill", "điền vào chỗ trống"),
    "choice_passage": ("a passage to read", "có đoạn văn phải đọc"),
    "choice_long_options": ("long options", "các lựa chọn dài"),
    "problem_length": ("length of the problem", "độ dài bài toán"),
    "problem_rates": ("rates", "có đơn giá, tốc độ"),
    "problem_shares": ("fractions or percentages", "có phân số, phần trăm"),
    "problem_relations": ("quantities told by others", "đại lượng cho qua đại lượng khác"),
    "problem_sequence": ("events one after another", "nhiều sự việc nối tiếp"),
    "problem_clock": ("times", "có thời gian"),
    "formulas": ("formulas", "có công thức"),
    "long_words": ("many long words", "nhiều từ dài"),
    "code_lines": ("lines of code", "có nhiều dòng mã"),
    "limits": ("several conditions", "nhiều điều kiện"),
    "several_questions": ("several questions", "nhiều câu hỏi"),
    "passage": ("a text to work on", "có văn bản kèm theo"),
    "context": ("long context", "ngữ cảnh dài"),
    "turns": ("a longer conversation", "hội thoại nhiều lượt"),
    "tools": ("tools", "có công cụ"),
    "documents": ("documents", "có tài liệu"),
    "pictures": ("pictures", "có hình ảnh"),
    "words": ("its words, as learnt", "từ ngữ, theo dữ liệu đã học"),
}
_SIDES: Final[Mapping[str, str]] = {
    "hard": "hard", "harder": "hard", "easy": "easy", "easy_and_hard": "hard", "brief": "brief",
    "brief_why": "brief",
}  # fmt: skip
_DIRECTION: Final = {True: ("easier", "dễ hơn"), False: ("harder", "khó hơn")}


def why(
    features: Features, parts: Sequence[tuple[str, float]], language: Literal["en", "vi"], most: int
) -> tuple[str, ...]:
    """The features that weighed most, strongest first, each once."""
    at = 1 if language == "vi" else 0
    summed: dict[str, float] = {}
    for name, weight in parts:
        for words in _words(name, features, at):
            summed[words] = summed.get(words, 0.0) + weight
    ranked = sorted(summed.items(), key=lambda one: (-abs(one[1]), one[0]))
    return tuple(
        f"{words} ({_DIRECTION[weight > 0][at]})"
        for words, weight in ranked
        if abs(weight) >= LEAST
    )[:most]


def _words(  # noqa: PLR0911 - one for each kind of feature
    name: str, features: Features, at: int
) -> tuple[str, ...]:
    """What a feature is called; a side of cues by the cues that were seen."""
    if name in _SIDES:
        side = _SIDES[name]
        seen = [cues.BY_NAME[one].told[at] for one in features.found if _is_on(one, side)]
        return (", ".join(seen[:3]),) if seen else ()
    if name == "open_length":
        long = features.values.get(name, 0.0) > 0
        return (("long", "dài")[at] if long else ("short", "ngắn")[at],)
    if name == "problem_numbers":
        many = (f"mathematics with {features.numbers} numbers", f"toán với {features.numbers} số")
        return (many[at],)
    if name == "specialist":
        about = [
            subjects.BY_NAME[one].told[at] for one in features.found if one in subjects.BY_NAME
        ]
        return (("specialist knowledge: ", "kiến thức chuyên môn: ")[at] + ", ".join(about[:2]),)
    for prefix in ("exam_on_", "on_"):
        if name.startswith(prefix):
            return (subjects.BY_NAME[name.removeprefix(prefix)].told[at],)
    if name.startswith("ask_"):
        return (cues.BY_NAME[name.removeprefix("ask_")].told[at],)
    return (_WORDS[name][at],) if name in _WORDS else ()


def _is_on(name: str, side: str) -> bool:
    return name in cues.BY_NAME and cues.BY_NAME[name].side == side
