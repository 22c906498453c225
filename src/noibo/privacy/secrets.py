"""Keys and passwords: what lets its finder act in somebody's name.

Found by what issuers put in front of their keys, by the form of a signed token, by the name of what
a value is assigned to, by its place in an address, and private keys by their armour, also where a
text was cut in the middle of one. A value that is a variable, a call, an example or a word is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.assigned import assigned, called_key, entropy, said
from noibo.privacy.private_keys import private_keys
from noibo.privacy.span import Span

# Whatever is no sign of a key may stand before one: quotes of all kinds, arrows, letters of others.
_TOKEN: Final = re.compile(r"[^A-Za-z0-9_\-][A-Za-z0-9_\-]{16,}")
_FIRST: Final = re.compile(r"[A-Za-z0-9_\-]{16,}")
_ISSUED: Final = re.compile(
    r"sk-ant-[\w\-]{20,}|sk-(?:proj|svcacct|admin|or-v1|None)-[\w\-]{16,}|sk-[A-Za-z0-9_\-]{20,}"
    r"|[srp]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w\-]{16,}"
    r"|gl[a-z]{2,6}-[\w\-]{20,}"
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|AIza[\w\-]{30,}|ya29[\w\-]{20,}|GOCSPX-[\w\-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|xapp-[A-Za-z0-9\-]{16,}"
    r"|(?:hf|api_org)_[A-Za-z0-9]{20,}|noibo_[A-Za-z0-9]{4,16}_[0-9a-f]{16,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w\-]{40,}|do[opr]_v1_[a-f0-9]{40,}"
    r"|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}"
    r"|sq0(?:atp|csp)-[\w\-]{20,}|glsa_[A-Za-z0-9_]{30,}|lin_api_[A-Za-z0-9]{30,}|nvapi-[\w\-]{30,}"
    r"|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{30,}|tvly-[\w\-]{20,}|xai-[\w\-]{30,}"
    r"|key-[0-9a-f]{32}|(?:AC|SK)[0-9a-f]{32}|dckr_pat_[\w\-]{20,}|EAA[A-Za-z0-9]{40,}"
    r"|sbp_[a-f0-9]{40}|eyJ[\w\-]{14,}|PMAK-[\w\-]{40,}|atlasv1[\w\-]{20,}|hvs[\w\-]{20,}"
)
_REST_OF_JWT: Final = re.compile(r"(?:\.[A-Za-z0-9_\-]{2,}){1,4}")
# What goes with an AWS key's name, right behind it: AKIA… / wJalr….
_AWS_SECRET: Final = re.compile(r"[\s:/|,;\-]{1,5}(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])")
_SENDGRID: Final = re.compile(r"\bSG\.[\w\-]{16,32}\.[\w\-]{30,64}")
_TELEGRAM: Final = re.compile(r"(?<![0-9])[0-9]{8,10}:AA[\w\-]{32,34}")
_OTHERS: Final = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{40,70}")


def secrets(text: str) -> Iterator[Span]:
    """Every key and password in `text`."""
    yield from private_keys(text)
    if "AGE-SECRET-KEY-1" in text:
        yield from _spans(_OTHERS, text, "PRIVATE_KEY", 0.99)
    yield from _issued(text)
    if "SG." in text:
        yield from _spans(_SENDGRID, text, "API_KEY", 0.99)
    if ":AA" in text:
        yield from _spans(_TELEGRAM, text, "API_KEY", 0.99)
    yield from assigned(text)
    yield from said(text)


def _spans(pattern: re.Pattern[str], text: str, label: str, score: float) -> Iterator[Span]:
    for found in pattern.finditer(text):
        yield Span(found.start(), found.end(), label, score, "secrets")


def _issued(text: str) -> Iterator[Span]:
    """Keys by what their issuer put in front."""
    places = [(found.start() + 1, found.end()) for found in _TOKEN.finditer(text)]
    if first := _FIRST.match(text):
        places.insert(0, first.span())
    for begin, end in places:
        start = end - len(text[begin:end].lstrip("_-"))  # __bold__, or behind a dash
        if not _ISSUED.match(text, start, end):
            if until := called_key(text, start, end):
                yield Span(start, until, "API_KEY", 0.7, "secrets")
            continue
        if text.startswith(("eyJ", "ya29", "hvs", "atlasv1"), start):
            if rest := _REST_OF_JWT.match(text, end):
                yield Span(start, rest.end(), "API_KEY", 0.99, "secrets")
        elif _varied(text[start:end]):
            yield Span(start, end, "API_KEY", 0.99, "secrets")
            if text.startswith("AKIA", start) and (pair := _AWS_SECRET.match(text, end)):
                yield Span(*pair.span("value"), "API_KEY", 0.8, "secrets")


def _varied(key: str) -> bool:
    """Whether a key is random: "sk-your-api-key-goes-here" and "ghp_xxxxxxxxxxxx" are not."""
    rest = key.split("-" if "-" in key[:8] else "_", 1)[-1]
    mixed = any(char.isdigit() for char in rest) or (rest != rest.lower() and rest != rest.upper())
    return mixed and entropy(rest) > 2.8
