"""Why a model was chosen, or ruled out: a code with facts, told in English or in Vietnamese.

Plans, headers, the ledger and `noibo route explain` all tell the same reasons. A code is stable and
is what programs compare; the words are for people and may get better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

Language = Literal["en", "vi"]
Told = tuple[str, str]  # the same in English and in Vietnamese

WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # what a request is
        "simple": (
            "simple: the local model is right with a chance of {p:.2f} (from {threshold:.2f})",
            "đơn giản: mô hình nội bộ trả lời đúng với xác suất {p:.2f} (ngưỡng {threshold:.2f})",
        ),
        "medium": (
            "medium: the local model is right with a chance of {p:.2f} "
            "(between {low:.2f} and {high:.2f})",
            "trung bình: mô hình nội bộ trả lời đúng với xác suất {p:.2f} "
            "(giữa {low:.2f} và {high:.2f})",
        ),
        "complex": (
            "complex: the local model is right with a chance of {p:.2f} (under {threshold:.2f})",
            "phức tạp: mô hình nội bộ trả lời đúng với xác suất {p:.2f} (dưới {threshold:.2f})",
        ),
        "unknown_chance": (
            "nobody says how hard it is: it is treated as medium",
            "không biết câu hỏi khó đến đâu: coi như trung bình",
        ),
        "because": ("{en}", "{vi}"),
        # why a target has its place
        "local_only": ("the strategy is local_only", "chiến lược là local_only (chỉ nội bộ)"),
        "api_only": ("the strategy is api_only", "chiến lược là api_only (chỉ API)"),
        "easy_enough": (
            "what is simple is answered on this machine",
            "câu hỏi đơn giản được trả lời ngay trên máy này",
        ),
        "tried_first": (
            "it is tried on this machine first, and its answer is checked",
            "thử trên máy này trước, rồi kiểm tra câu trả lời",
        ),
        "too_hard": (
            "what is complex goes to a larger model",
            "câu hỏi phức tạp được chuyển cho mô hình lớn hơn",
        ),
        "only_here": (
            "no model elsewhere may or can answer it",
            "không có mô hình nào ở nơi khác được phép hoặc có thể trả lời",
        ),
        "only_elsewhere": (
            "no model of this machine can answer it",
            "không có mô hình nào của máy này trả lời được",
        ),
        "if_not_good": (
            "asked when the answer before is not good enough, or does not come",
            "được hỏi khi câu trả lời trước không đủ tốt, hoặc không có",
        ),
        "if_failed": (
            "asked when the one before fails",
            "được hỏi khi mô hình trước bị lỗi",
        ),
        "cheapest": (
            "the cheapest that is right with a chance of {quality:.2f} or more (it has {has:.2f})",
            "rẻ nhất trong số đạt chất lượng {quality:.2f} trở lên (đạt {has:.2f})",
        ),
        "none_meets": (
            "none is known to reach {quality:.2f}; this one is the nearest (it has {has:.2f})",
            "chưa có mô hình nào được biết là đạt {quality:.2f}; mô hình này gần nhất ({has:.2f})",
        ),
        "nothing_measured": (
            "none is known to reach {quality:.2f}, and nothing is measured of this one",
            "chưa có mô hình nào được biết là đạt {quality:.2f}, và mô hình này chưa được đo",
        ),
        "may_be_cheaper": (
            "nothing is known of what {model} costs",
            "chưa biết giá của {model}",
        ),
        "stays_with": (
            "this conversation goes on with {model}",
            "cuộc trò chuyện này tiếp tục với {model}",
        ),
        "leaves_forgot": (
            "this conversation leaves {model}, which may not or cannot answer now",
            "cuộc trò chuyện này rời {model}, vì mô hình đó lúc này không thể hoặc không được dùng",
        ),
        "leaves_harder": (
            "this conversation leaves {model}: it became much harder",
            "cuộc trò chuyện này rời {model}: câu hỏi đã khó hơn nhiều",
        ),
        "leaves_easier": (
            "this conversation leaves {model}: it is easy for two turns",
            "cuộc trò chuyện này rời {model}: hai lượt liền câu hỏi đều dễ",
        ),
        "leaves_unfit": (
            "this conversation leaves {model}: its last answer was not good",
            "cuộc trò chuyện này rời {model}: câu trả lời trước của nó không tốt",
        ),
        "redacted": (
            "what is personal is taken out before it leaves ({label})",
            "thông tin cá nhân được che trước khi gửi đi ({label})",
        ),
        "may_leave": (
            "its label lets it leave this machine ({label})",
            "nhãn cho phép gửi ra ngoài máy này ({label})",
        ),
        "stays_here": (
            "it stays on this machine ({label})",
            "nội dung ở lại trên máy này ({label})",
        ),
        # why a candidate is ruled out
        "label": (
            "it may not leave this machine (label {label}), and this model is elsewhere",
            "nội dung không được rời máy này (nhãn {label}), mà mô hình này ở nơi khác",
        ),
        "offline": (
            "noibo is offline, and this model is elsewhere",
            "noibo đang ngoại tuyến, mà mô hình này ở nơi khác",
        ),
        "not_local": (
            "the strategy asks only models of this machine",
            "chiến lược chỉ dùng mô hình của máy này",
        ),
        "not_api": (
            "the strategy asks only models elsewhere",
            "chiến lược chỉ dùng mô hình ở nơi khác",
        ),
        "no_fallback": (
            "api_fallback is off, and the request is not complex",
            "api_fallback đang tắt, và câu hỏi không phức tạp",
        ),
        "ability": ("it has no {ability}", "không có khả năng: {ability}"),
        "context": (
            "the request needs {wanted} tokens, it has {context}",
            "yêu cầu cần {wanted} token, mô hình chỉ có {context}",
        ),
        "breaker": (
            "it failed again and again, and is left alone for {seconds:.0f} s",
            "liên tục bị lỗi, tạm để yên {seconds:.0f} giây",
        ),
        "budget": (
            "there is no money left for it: {why}",
            "đã hết ngân sách: {why}",
        ),
        "api_calls": (
            "{most} calls in an hour are made already (max_api_calls_per_hour)",
            "đã đủ {most} lượt gọi trong một giờ (max_api_calls_per_hour)",
        ),
        "too_dear": (
            "it would cost about {cost:.4g}, more than max_cost {most:.4g}",
            "sẽ tốn khoảng {cost:.4g}, vượt max_cost {most:.4g}",
        ),
        "cost_unknown": (
            "its price is unknown, and max_cost is {most:.4g}",
            "chưa biết giá, mà max_cost là {most:.4g}",
        ),
        "too_slow": (
            "it would take about {seconds:.0f} s, more than max_seconds {most:.0f}",
            "sẽ mất khoảng {seconds:.0f} giây, vượt max_seconds {most:.0f}",
        ),
        "not_allowed": (
            "the key that asks may not use it",
            "khoá đang dùng không được phép gọi mô hình này",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its code, and the facts in it."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, **facts: Any) -> Reason:
        """Raises KeyError for a code that nobody can tell."""
        WORDS[code]
        return cls(code, facts)

    def text(self, language: Language = "en") -> str:
        """In words."""
        return WORDS[self.code][language == "vi"].format(**self.facts)

    def as_json(self, language: Language = "en") -> dict[str, Any]:
        """For answers and `--json`."""
        return {"code": self.code, "text": self.text(language), **self.facts}
