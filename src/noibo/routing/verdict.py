"""What was found of an answer: whether it may be given, and why not; in English and Vietnamese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from noibo.routing.reasons import Language

Fault = Literal[
    "empty",
    "echo",
    "refusal",
    "loop",
    "language",
    "format",
    "tools",
    "unclosed",
    "cut_off",
    "judge",
]
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "empty": ("it is empty", "câu trả lời rỗng"),
        "echo": ("it only repeats the question", "chỉ lặp lại câu hỏi"),
        "refusal": ("it refuses, or does not know", "từ chối, hoặc nói là không biết"),
        "loop": ("it says the same again and again", "lặp đi lặp lại"),
        "language": (
            "it is in another language ({what}) than it was asked in",
            "trả lời bằng ngôn ngữ khác ({what}) với câu hỏi",
        ),
        "format": ("it {what}", "sai định dạng ({what})"),
        "tools": ("it {what}", "gọi công cụ sai ({what})"),
        "unclosed": ("a block of code has no end", "khối mã không có kết thúc"),
        "cut_off": ("it is cut off", "bị cắt giữa chừng"),
        "judge": (
            "the judge gives it {what}, less than {threshold:.2f}",
            "mô hình chấm cho {what}, thấp hơn {threshold:.2f}",
        ),
        "unsure": (
            "its model was not sure: right with a chance of {p:.2f}, less than {threshold:.2f}",
            "mô hình không chắc chắn: xác suất đúng {p:.2f}, thấp hơn {threshold:.2f}",
        ),
        "disagreement": (
            "asked again, its model says something else: {share:.2f} of the answers agree",
            "hỏi lại thì mô hình trả lời khác: chỉ {share:.2f} số câu trả lời giống nhau",
        ),
        "good": ("nothing is wrong with it", "không thấy lỗi gì"),
        "sure": (
            "nothing is wrong with it, and it is right with a chance of {p:.2f}",
            "không thấy lỗi gì, xác suất đúng {p:.2f}",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`good`: it may be given. `p`: the chance that it is right, where that is known. `found`: the
    faults, with the facts that their words have."""

    good: bool
    p: float | None
    threshold: float
    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[str, ...]:
        """Their codes."""
        return tuple(self.found)

    def reasons(self, language: Language = "en") -> list[str]:
        """In words."""
        return [WORDS[code][language == "vi"].format(**facts) for code, facts in self._told()]

    def as_json(self, language: Language = "en") -> dict[str, Any]:
        """For headers and the ledger."""
        said = self.reasons(language)
        return {"good": self.good, "p": self.p, "faults": list(self.found), "reasons": said}

    def _told(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        if self.found:
            yield from self.found.items()
        elif self.p is None:
            yield "good", {}
        else:
            yield "sure", {"p": self.p}
