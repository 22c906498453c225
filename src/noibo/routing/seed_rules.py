"""The seed's rules: a pattern that is simple, a pattern that is complex, else the length.

They are the fallback where the learnt weights cannot be read, in Vietnamese as the seed wrote them
and with their English counterparts.
"""

from __future__ import annotations

import re
from typing import Final

from noibo.routing.phrases import fold
from noibo.routing.strategy import Class

SHORT: Final = 10  # words: simple under it
LONG: Final = 30  # complex above it
SIMPLE_PATTERNS: Final = (
    r"(có bao nhiêu|có những|liệt kê|danh sách|how many|list )",
    r"(là gì|nghĩa là|định nghĩa|what is|define|meaning of)",
    r"(khi nào|ở đâu|ai là|^when |^where |^who )",
)
COMPLEX_PATTERNS: Final = (
    r"(so sánh|đánh giá|phân tích|compare|evaluate|assess|analy[sz]e)",
    r"(tại sao|vì sao|nguyên nhân|\bwhy\b|cause of|causes of)",
    r"(đề xuất|khuyến nghị|giải pháp|propose|recommend|solution)",
    r"(dự đoán|xu hướng|tương lai|predict|forecast|trend|future)",
)
# What the rules say as a chance: the middle of each class, as nothing more is known.
CHANCES: Final[dict[Class, float]] = {"simple": 0.8, "medium": 0.55, "complex": 0.25}


def classify(query: str) -> tuple[Class, str]:
    """The class, and what spoke for it."""
    said = query.lower()
    plain = fold(query)
    for found, patterns in (("simple", SIMPLE_PATTERNS), ("complex", COMPLEX_PATTERNS)):
        for pattern in patterns:
            if re.search(pattern, said) or re.search(fold(pattern), plain):
                return ("simple" if found == "simple" else "complex"), pattern
    words = len(query.split())
    if words < SHORT:
        return "simple", f"under {SHORT} words"
    return ("complex", f"over {LONG} words") if words > LONG else ("medium", f"{words} words")
