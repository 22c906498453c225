"""Why a prompt counts as easy or hard, in words: what weighed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from noibo.routing import cues, subjects
from noibo.routing.features import Features
from noibo.routing.reasons import Told

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


def why(features: Features, parts: Sequence[tuple[str, float]], most: int) -> tuple[Told, ...]:
    """The features that weighed most, strongest first, each once."""
    summed: dict[Told, float] = {}
    for name, weight in parts:
        if told := _told(name, features):
            summed[told] = summed.get(told, 0.0) + weight
    ranked = sorted(summed.items(), key=lambda one: (-abs(one[1]), one[0]))
    told_of = [(told, weight) for told, weight in ranked if abs(weight) >= LEAST]
    return tuple(_directed(told, easier=weight > 0) for told, weight in told_of[:most])


def _directed(told: Told, *, easier: bool) -> Told:
    english, vietnamese = _DIRECTION[easier]
    return f"{told[0]} ({english})", f"{told[1]} ({vietnamese})"


def _told(  # noqa: PLR0911 - one for each kind of feature
    name: str, features: Features
) -> Told | None:
    """What a feature is called; a side of cues by the cues that were seen."""
    if name in _SIDES:
        side = _SIDES[name]
        seen = [cues.BY_NAME[one].told for one in features.found if _is_on(one, side)]
        return _joined(seen[:3]) if seen else None
    if name == "open_length":
        return ("long", "dài") if features.values.get(name, 0.0) > 0 else ("short", "ngắn")
    if name == "problem_numbers":
        return f"mathematics with {features.numbers} numbers", f"toán với {features.numbers} số"
    if name == "specialist":
        about = [subjects.BY_NAME[one].told for one in features.found if one in subjects.BY_NAME]
        english, vietnamese = _joined(about[:2])
        return f"specialist knowledge: {english}", f"kiến thức chuyên môn: {vietnamese}"
    for prefix in ("exam_on_", "on_"):
        if name.startswith(prefix):
            return subjects.BY_NAME[name.removeprefix(prefix)].told
    if name.startswith("ask_"):
        return cues.BY_NAME[name.removeprefix("ask_")].told
    return _WORDS.get(name)


def _joined(told: Sequence[Told]) -> Told:
    return ", ".join(one[0] for one in told), ", ".join(one[1] for one in told)


def _is_on(name: str, side: str) -> bool:
    return name in cues.BY_NAME and cues.BY_NAME[name].side == side
