"""Keys and passwords: what lets its finder act in somebody's name.

Found by what issuers put in front of their keys, by the form of a signed token, by the name of what
a value is assigned to, by its place in an address, and private keys by their armour, also where a
text was cut in the middle of one. A value that is a variable, a call, an example or a word is left.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from noibo.privacy.cues import fold
from noibo.privacy.span import Span

_SIGNS: Final = r"[A-Za-z0-9_\-]"
# The signs before a key are few, so that words of ordinary text are not looked at one by one.
_TOKEN: Final = re.compile(r"""[\s"'`=:(\[{,;<>/|&?.*#\\][A-Za-z0-9_\-]{16,}""")
_ISSUED: Final = re.compile(
    r"sk-ant-[\w\-]{20,}|sk-(?:proj|svcacct|admin|or-v1|None)-[\w\-]{16,}|sk-[A-Za-z0-9_\-]{20,}"
    r"|[srp]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w\-]{16,}|gl[a-z]{2,6}-[\w\-]{20,}"
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|AIza[\w\-]{30,}|ya29[\w\-]{20,}|GOCSPX-[\w\-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|xapp-[A-Za-z0-9\-]{16,}"
    r"|(?:hf|api_org)_[A-Za-z0-9]{20,}|noibo_[A-Za-z0-9]{4,16}_[0-9a-f]{16,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w\-]{40,}|do[opr]_v1_[a-f0-9]{40,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}"
    r"|sq0(?:atp|csp)-[\w\-]{20,}|glsa_[A-Za-z0-9_]{30,}|lin_api_[A-Za-z0-9]{30,}|nvapi-[\w\-]{30,}"
    r"|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{30,}|tvly-[\w\-]{20,}|xai-[\w\-]{30,}"
    r"|key-[0-9a-f]{32}|(?:AC|SK)[0-9a-f]{32}|dckr_pat_[\w\-]{20,}|EAA[A-Za-z0-9]{40,}"
    r"|sbp_[a-f0-9]{40}|eyJ[\w\-]{14,}|PMAK-[\w\-]{40,}|atlasv1[\w\-]{20,}|hvs[\w\-]{20,}"
)
_REST_OF_JWT: Final = re.compile(r"(?:\.[A-Za-z0-9_\-]{2,}){1,4}")
_SENDGRID: Final = re.compile(r"\bSG\.[\w\-]{16,32}\.[\w\-]{30,64}")
_TELEGRAM: Final = re.compile(r"(?<![0-9])[0-9]{8,10}:AA[\w\-]{32,34}")
_ASSIGNS: Final = re.compile(r"[:=]")
_VALUE: Final = re.compile(
    r">?[ \t]{0,4}(?:[rbuf]?(?P<quote>[\"'`])(?P<quoted>[^\"'`\n]{4,512})(?P=quote)"
    r"|(?P<bare>[^\s\"'`,;<>]{4,512}))"
)
_BEARER: Final = re.compile(
    r"\b(?:[Bb]earer|BEARER|[Bb]asic|[Tt]oken)[ \t]{1,3}(?P<value>[\w.+/=~\-]{12,})"
)
_IN_URL: Final = re.compile(r"://[^\s:/@?#]{0,64}:(?P<value>[^\s/@]{3,128})@")
_SAID: Final = re.compile(
    r"[mMpP](?:(?:ật khẩu|at khau|assword|asscode|assphrase|ass|ẬT KHẨU|ASSWORD|[kK])\b)"
    r"(?:[ \t]{1,2}(?:wifi|wi-fi|của|cua|tôi|toi|em|anh|mình|minh|đăng nhập|dang nhap|mới|moi|is|was|là|la"
    r"|for|it|the|email|máy|may|ngân hàng|tài khoản|account|my|login|root|admin)){0,5}"
    r"[ \t]{1,2}[\"'“`]?(?P<value>[^\s\"'”`,;]{6,64})"
)
# Names of what is secret, folded and without spaces; the name may have words before it.
_NAMES: Final = re.compile(
    r"(?:api|access|secret|private|auth|signing|encryption|master|account|service|client|session|app"
    r"|bot|refresh|id|security|storage|license|csrf|webhook|db|database|root|admin|user|ssh|jwt|"
    r"openai|aws|azure|gcp|github|slack|stripe)*"
    r"(?:apikey|secretkey|accesskey|privatekey|authkey|secret|token|accountkey|password|passwd|passphrase"
    r"|pwd|matkhau|clientsecret|connectionstring|xapikey|signingkey|encryptionkey|masterkey"
    r"|authorization|credential|credentials|khoabimat|khoaapi|sharedkey|keyapi|accesskeyid)"
    r"(?:base64|value|string|wifi|moi|cu|cuatoi|cuaem|hientai|tamthoi|dangnhap|mail|email)?$"
)
# One of these is in all of them.
_HINT: Final = re.compile(
    r"key|secret|token|pass|pwd|matkhau|connectionstring|authorization|credential|khoa"
)
_SHORT_NAMES: Final = frozenset(("pass", "mk", "pw", "passwd", "pin", "maphin", "key", "pword"))
_WORDLIKE: Final = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "matkhau",
    "pass",
    "mk",
    "pw",
    "pword",
)
_PLACEHOLDER: Final = re.compile(
    r"^(?:[*x.•\-_#]{3,}|<.*|\$\{?.*|\{\{?.*|%.*%|\[.*\]|(?:your|my|some|the|an?)[_\- ].*|null|none|nil|true|false"
    r"|undefined|string|str|text|required|optional|changeme|change[_\-]me|example.*|placeholder.*|todo|redacted"
    r"|hidden|secret|password|token|input|env|getenv.*|process\.env.*|os\.environ.*|sk-\.\.\.|.*\.\.\.|.*…)$",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"^[A-Za-z_][\w]*(?:(?:\.|->|::)[A-Za-z_]\w*)*(?:[(\[{].*|[)\]}?]+)?$")
_BEGIN: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# A line of the armour, with its end as it is or as JSON writes it.
_BODY: Final = re.compile(
    r"(?:\s|\\[nrt]|[A-Za-z0-9+/=]{16,}|[A-Za-z][A-Za-z\-]{2,24}: [^\n]{1,200}|[A-Za-z0-9+/=]{1,76}"
    r"(?=\s|\\n|-----|[\"'`]|$)|[>|])+"
)
_LINE: Final = re.compile(r"[A-Za-z0-9+/=]{1,80}")
_OTHERS: Final = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{40,70}")


def secrets(text: str) -> Iterator[Span]:
    """Every key and password in `text`."""
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    if "AGE-SECRET-KEY-1" in text:
        yield from _spans(_OTHERS, text, "PRIVATE_KEY", 0.99)
    yield from _issued(text)
    if "SG." in text:
        yield from _spans(_SENDGRID, text, "API_KEY", 0.99)
    if ":AA" in text:
        yield from _spans(_TELEGRAM, text, "API_KEY", 0.99)
    yield from _assigned(text)
    yield from _said(text)


def _spans(pattern: re.Pattern[str], text: str, label: str, score: float) -> Iterator[Span]:
    for found in pattern.finditer(text):
        yield Span(found.start(), found.end(), label, score, "secrets")


def _issued(text: str) -> Iterator[Span]:
    """Keys by what their issuer put in front."""
    places = [(found.start() + 1, found.end()) for found in _TOKEN.finditer(text)]
    first = re.compile(_SIGNS + "{16,}").match(text)
    if first:
        places.insert(0, first.span())
    for start, end in places:
        key = _ISSUED.match(text, start, end)
        if key is None:
            continue
        if text.startswith(("eyJ", "ya29", "hvs", "atlasv1"), start):
            rest = _REST_OF_JWT.match(text, end)
            if rest is None:
                continue
            end = rest.end()
        elif not _varied(text[start:end]):
            continue
        yield Span(start, end, "API_KEY", 0.99, "secrets")


def _varied(key: str) -> bool:
    """Whether a key is random: "sk-your-api-key-goes-here" and "ghp_xxxxxxxxxxxx" are not."""
    rest = key.split("-" if "-" in key[:8] else "_", 1)[-1]
    mixed = any(char.isdigit() for char in rest) or (rest != rest.lower() and rest != rest.upper())
    return mixed and entropy(rest) > 2.8


def entropy(value: str) -> float:
    """Bits a character, by how often each occurs in the value itself."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values()) if total else 0.0


def _assigned(text: str) -> Iterator[Span]:
    """Values of what is named as a secret; passwords in addresses; what follows "Bearer"."""
    done = 0
    seen: set[int] = set()
    for sign in _ASSIGNS.finditer(text):
        if sign.start() < done or not (name := _name_before(text, sign.start())):
            continue
        found = _VALUE.match(text, sign.end())
        if found is None:
            continue
        group = "quoted" if found["quoted"] else "bare"
        start, end = found.span(group)
        bearer = _BEARER.match(text, start)
        if bearer:
            start, end = bearer.span("value")
        end = _without_tail(text, start, end) if group == "bare" else end
        if _secret_value(
            text[start:end], name, quoted=group == "quoted", after=text[end : end + 1]
        ):
            yield Span(start, end, "API_KEY", 0.9, "secrets")
            done = end
            seen.add(start)
    if "earer" in text or "BEARER" in text:
        for bearer in _BEARER.finditer(text):
            start, end = bearer.span("value")
            value = text[start:end].rstrip(".")
            if (
                start not in seen
                and bearer[0][0] in "bB"
                and any(map(str.isdigit, value))
                and entropy(value) > 2.8
            ):
                yield Span(start, start + len(value), "API_KEY", 0.9, "secrets")
    if "://" in text:
        for address in _IN_URL.finditer(text):
            start, end = address.span("value")
            if not _PLACEHOLDER.match(text[start:end]):
                yield Span(start, end, "API_KEY", 1.0, "secrets")  # no part of an e-mail's name


def _name_before(text: str, end: int) -> str:
    """The secret's name that stands right before a colon or an equals sign, folded; empty if none."""
    since = max(text.rfind("\n", max(0, end - 64), end) + 1, end - 64, 0)
    words = fold(text[since:end]).split()[-8:]
    if not words or not (words[-1] in _SHORT_NAMES or _HINT.search("".join(words))):
        return ""
    if words[-1] in _SHORT_NAMES:
        return words[-1]
    for count in range(1, len(words) + 1):
        joined = "".join(words[-count:])
        if _NAMES.match(joined) if count < 6 else False:
            return joined
        if joined.startswith(("matkhau", "password")):
            return "password"  # whose it is was said between: mật khẩu máy tính của sếp
    return ""


def _without_tail(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1] in ".)]}!?|\\":
        if text[end - 1] in ")]}" and any(sign in text[start:end] for sign in "([{"):
            break
        if text[end - 1] == "!" and end - start < 20:
            break  # many a password ends so
        end -= 1
    return end


def _secret_value(value: str, name: str, *, quoted: bool, after: str) -> bool:
    """Whether a value is a secret itself, and not where it comes from or an example of one."""
    if len(value) < 4 or _PLACEHOLDER.match(value) or value.startswith(("//", "=", ":")):
        return False
    digits = sum(char.isdigit() for char in value)
    wordlike = name.endswith(_WORDLIKE) or name.startswith(("matkhau", "password", "mk"))
    if name in ("key", "pin") or not wordlike:
        if " " in value or len(value) < (16 if name == "key" else 8) or not digits:
            return False
        if not quoted and (_CODE.match(value) and entropy(value) < 3.2):
            return False
        return entropy(value) >= 2.5 and digits < len(value)
    if not quoted and (after == "(" or (_CODE.match(value) and not digits)):
        return False
    if " " in value and not (digits and len(value) < 40):
        return False
    symbols = sum(not char.isalnum() for char in value)
    return len(value) >= 6 and bool(digits or symbols or (quoted and len(value) >= 6))


def _said(text: str) -> Iterator[Span]:
    """Passwords in a sentence: "mật khẩu wifi là Hoadao2024"."""
    for found in _SAID.finditer(text):
        start, end = found.span("value")
        if found.start() and text[found.start() - 1].isalnum():
            continue
        end = _without_tail(text, start, end)
        value = text[start:end]
        digits = sum(char.isdigit() for char in value)
        if len(value) < 6 or not digits or _PLACEHOLDER.match(value) or "://" in value:
            continue
        if digits == len(value) and not re.search(
            r"\b(?:là|la|is)[ \t]", text[found.start() : start]
        ):
            continue
        yield Span(start, end, "API_KEY", 0.7, "secrets")


def _private_keys(text: str) -> Iterator[Span]:
    """Private keys whole; where the end is missing, as far as the armour goes."""
    done = 0
    while begin := _BEGIN.search(text, done):
        body = _BODY.match(text, begin.end())
        reached = body.end() if body else begin.end()
        end = _END.match(text, reached)
        stop = end.end() if end else begin.end() + len(text[begin.end() : reached].rstrip())
        yield Span(begin.start(), stop, "PRIVATE_KEY", 1.0, "secrets")
        done = stop
    for end in _END.finditer(text):
        if end.start() >= done and (start := _lines_before(text, end.start(), done)) < end.start():
            yield Span(start, end.end(), "PRIVATE_KEY", 0.9, "secrets")


def _lines_before(text: str, end: int, least: int) -> int:
    """Where the lines of armour before a place begin, of a key whose beginning was cut off."""
    start = end
    while start > least:
        line = text.rfind("\n", max(least, start - 84), start - 1) + 1 or max(least, start - 84)
        if not _LINE.fullmatch(text[line:start].rstrip()):
            break
        start = line
    return start
