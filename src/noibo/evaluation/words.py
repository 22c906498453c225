"""The words of reports, in English and Vietnamese."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from noibo.evaluation.measures import Note
from noibo.evaluation.statistics import Estimate

Language = Literal["en", "vi"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "vi")
_Both = dict[str, str]
_VIETNAMESE: Final = str.maketrans(".,", ",.")

FIGURES: Final[dict[str, _Both]] = {
    "first_p50": {"en": "first token, median", "vi": "token đầu tiên, trung vị"},
    "first_p99": {"en": "first token, p99", "vi": "token đầu tiên, p99"},
    "said_p50": {
        "en": "first token after the thoughts, median",
        "vi": "token đầu tiên sau phần suy nghĩ, trung vị",
    },
    "between_p50": {"en": "token to token, median", "vi": "giữa hai token, trung vị"},
    "between_p99": {"en": "token to token, p99", "vi": "giữa hai token, p99"},
    "stall_p50": {
        "en": "longest pause, median",
        "vi": "quãng ngừng dài nhất trong một câu trả lời, trung vị",
    },
    "caller_rate": {"en": "each caller, median", "vi": "mỗi người gọi, trung vị"},
    "rate": {"en": "all callers", "vi": "tất cả người gọi cộng lại"},
    "answers_rate": {"en": "answers", "vi": "số câu trả lời"},
    "latency_p50": {"en": "whole answer, median", "vi": "cả câu trả lời, trung vị"},
    "latency_p99": {"en": "whole answer, p99", "vi": "cả câu trả lời, p99"},
}

NOTES: Final[dict[str, _Both]] = {
    "out": {
        "en": "was asked no more: {kind}. {said}",
        "vi": "không được hỏi tiếp: {kind}. {said}",
    },
    "given_up": {
        "en": "was given up at {callers} at once: {said}",
        "vi": "bị dừng ở mức {callers} người gọi cùng lúc: {said}",
    },
    "failed": {
        "en": "{many} × {kind}, in no average. The first: {said}",
        "vi": "{many} × {kind}, không tính vào trung bình. Lỗi đầu tiên: {said}",
    },
    "warm_up": {
        "en": "warmed up (and loaded, where it was not) in {seconds} s, which is in no figure.",
        "vi": "khởi động (và nạp mô hình nếu chưa có) trong {seconds} giây, không tính vào số đo.",
    },
    "answered_as": {
        "en": "was asked for {asked} and answered as {by}.",
        "vi": "được hỏi với tên {asked} và trả lời với tên {by}.",
    },
    "by_pieces": {
        "en": "does not say how many tokens it wrote: each piece of a stream is taken for one.",
        "vi": "không cho biết đã viết bao nhiêu token: mỗi mảnh nhận được tính là một token.",
    },
    "short": {
        "en": "wrote {tokens} tokens at the median where {asked} were asked for: it takes "
        "ignore_eos and ends answers where its model does.",
        "vi": "viết trung vị {tokens} token thay vì {asked}: máy chủ nhận ignore_eos nhưng vẫn "
        "dừng khi mô hình dừng.",
    },
    "short_own_end": {
        "en": "wrote {tokens} tokens at the median where {asked} were asked for: it does not take "
        "ignore_eos, so answers end where its model ends them.",
        "vi": "viết trung vị {tokens} token thay vì {asked}: máy chủ không nhận ignore_eos nên "
        "câu trả lời dừng khi mô hình dừng.",
    },
    "no_ignore_eos": {
        "en": "does not take ignore_eos; its answers are about as long as was asked anyway.",
        "vi": "không nhận ignore_eos; câu trả lời vẫn dài gần như yêu cầu.",
    },
    "prompt": {
        "en": "counted {tokens} tokens of prompt at the median where {asked} were asked for.",
        "vi": "đếm trung vị {tokens} token đầu vào thay vì {asked}.",
    },
    "prompt_unknown": {
        "en": "does not say how many tokens its prompts had: they had {words} words.",
        "vi": "không cho biết đầu vào có bao nhiêu token: đầu vào có {words} từ.",
    },
    "cached": {
        "en": "took {percent} % of the prompts' tokens out of a cache.",
        "vi": "lấy {percent} % token đầu vào từ bộ nhớ đệm.",
    },
    "stopped": {
        "en": "Stopped after {done} of {rounds} rounds. Rates are of whole rounds only.",
        "vi": "Đã dừng sau {done} trên {rounds} vòng. Tốc độ chỉ tính theo các vòng trọn vẹn.",
    },
    "own": {
        "en": "The bench itself took {percent} % of one core at most, and was served "
        "{late_ms} ms late at the p99.",
        "vi": "Bản thân phép đo dùng nhiều nhất {percent} % một nhân CPU, trễ {late_ms} ms ở p99.",
    },
    "own_slow": {
        "en": "The bench itself took {percent} % of one core, and was served {late_ms} ms late at "
        "the p99: it may be what is slow. Ask with fewer callers.",
        "vi": "Bản thân phép đo dùng {percent} % một nhân CPU, trễ {late_ms} ms ở p99: có thể "
        "chính nó là chỗ chậm. Hãy giảm số người gọi.",
    },
    "own_late": {
        "en": "The bench itself took {percent} % of one core at most, and was served {late_ms} ms "
        "late at the p99: this machine is busy, and times may be that much too long.",
        "vi": "Bản thân phép đo dùng nhiều nhất {percent} % một nhân CPU nhưng trễ {late_ms} ms ở "
        "p99: máy đang bận, các thời gian có thể dài hơn thực tế chừng ấy.",
    },
}

PAGE: Final[dict[str, _Both]] = {
    "title": {"en": "How fast models answer", "vi": "Tốc độ trả lời của các mô hình"},
    "intro": {
        "en": "Prompts of about {prompt} tokens, answers of {tokens}; {rounds} rounds, sides in "
        "turn. Bars and brackets are 95 % intervals by bootstrap.",
        "vi": "Đầu vào khoảng {prompt} token, câu trả lời {tokens} token; {rounds} vòng, đo luân "
        "phiên. Thanh dọc và khoảng trong ngoặc là khoảng tin cậy 95 % (bootstrap).",
    },
    "callers": {"en": "Callers at once", "vi": "Số người gọi cùng lúc"},
    "figures": {"en": "Figures", "vi": "Số đo"},
    "ratios": {
        "en": "× is compared with {first}, in colour where it is surely better or worse.",
        "vi": "× là so với {first}, có màu khi chắc chắn tốt hơn hoặc kém hơn.",
    },
    "notes": {"en": "What to know", "vi": "Điều cần biết"},
    "answers": {"en": "answers", "vi": "câu trả lời"},
    "failed": {"en": "failed", "vi": "lỗi"},
    "memory": {"en": "memory", "vi": "bộ nhớ"},
    "cost": {"en": "cost of 1M tokens written", "vi": "chi phí 1 triệu token viết ra"},
    "too_few": {"en": "{n} of {least}", "vi": "{n}/{least}"},
    "too_few_meaning": {
        "en": "“20 of 100”: 20 values, and it takes 100 to say that. Without an interval: too few "
        "values or rounds to say how sure it is.",
        "vi": "“20/100”: mới có 20 giá trị, cần 100 mới đủ để kết luận. Không có khoảng: quá ít "
        "giá trị hoặc vòng đo để biết chắc đến đâu.",
    },
    "machine": {
        "en": "Own machine: {watts:g} W at {kwh_price:g} {currency} a kWh; {price:g} {currency} "
        "over {years:g} years, answering {used:.0%} of the time.",
        "vi": "Máy của mình: {watts:g} W, {kwh_price:g} {currency} mỗi kWh; {price:g} {currency} "
        "trong {years:g} năm, chạy {used:.0%} thời gian.",
    },
    "made": {
        "en": "Measured {time} on {machine} by noibo {version}.",
        "vi": "Đo lúc {time} trên {machine} bằng noibo {version}.",
    },
}

HEADINGS: Final = {
    "rate": {"en": "All callers together", "vi": "Tất cả người gọi cộng lại"},
    "caller_rate": {"en": "Each caller", "vi": "Mỗi người gọi"},
    "first_p50": {"en": "First token", "vi": "Token đầu tiên"},
    "latency_p50": {"en": "Whole answer", "vi": "Cả câu trả lời"},
}


def note_text(note: Note, language: Language) -> str:
    """A note as a sentence that begins with who it is about."""
    said = NOTES[note.kind][language].format(**note.values)
    return f"{note.side}: {said}" if note.side else said


def number(value: float, language: Language = "en") -> str:
    """Three digits that count and no exponent, with the language's own marks."""
    text = f"{value:,.0f}" if abs(value) >= 999.5 else _three(value)
    return text.translate(_VIETNAMESE) if language == "vi" else text


def _three(value: float) -> str:
    value = float(f"{value:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 8)}f}"


def in_unit(found: Sequence[Estimate | None], unit: str) -> tuple[str, list[Estimate | None]]:
    """Values of one line in the unit they read best in: times below a second in milliseconds."""
    values = [one.value for one in found if one is not None and one.value is not None]
    if unit != "s" or not values or max(values) >= 1:
        return unit, list(found)
    return "ms", [one and one.times(1000) for one in found]


def estimate_text(found: Estimate | None, language: Language = "en") -> str:
    """`12.3 (11.9–12.8)`; how many values there are where they are too few; `-` for none."""
    if found is None:
        return "-"
    if found.value is None:
        if not found.lacks:
            return "-"
        return PAGE["too_few"][language].format(n=found.n, least=found.lacks)
    value = number(found.value, language)
    if found.low is None or found.high is None:
        return value
    return f"{value} ({number(found.low, language)}–{number(found.high, language)})"
