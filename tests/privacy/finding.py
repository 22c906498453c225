"""A small finder for tests of everything around finding: it knows what these tests say."""

from __future__ import annotations

import re

from noibo.privacy.span import Span

KINDS = {
    "PERSON": r"(?i:nguyễn văn an|trần thị bình|lê hoàng nam|john smith)",
    "PHONE": r"(?<!\d)(?:\+84|0)[ .]?\d{2,3}[ .]?\d{3}[ .]?\d{3,4}(?!\d)",
    "EMAIL": r"[\w.]+@[\w.]+\.\w+",
    "API_KEY": r"sk-[A-Za-z0-9]{8,}",
    "BANK_ACCOUNT": r"(?<=tài khoản: )\d{8,14}",
    "IP": r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)",
}


def find(text: str) -> list[Span]:
    spans = [
        Span(match.start(), match.end(), kind)
        for kind, pattern in KINDS.items()
        for match in re.finditer(pattern, text)
    ]
    return sorted(spans)
