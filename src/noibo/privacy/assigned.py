"""Values of what is named as a secret: `api_key = "…"`, "mật khẩu là …", scheme://user:password@host."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from noibo.privacy.cues import fold
from noibo.privacy.span import Span

_ASSIGNS: Final = re.compile(r"[:=]")
_VALUE: Final = re.compile(
    r">?[ \t]{0,4}(?:[rbuf]?(?P<quote>[\"'`])(?P<quoted>[^\"'`\n]{4,512})(?P=quote)"
    r"|(?P<bare>[^\s\"'`,;<>]{4,512}))"
)
_BEARER: Final = re.compile(
    r"\b(?:[Bb]earer|BEARER|[Bb]asic|[Tt]oken)[ \t]{1,3}(?P<value>[\w.+/=~\-]{12,})"
)
_IN_URL: Final = re.compile(r"://[^\s:/@?#]{0,64}:(?P<value>[^\s/@]{3,128})@")
_LOGIN: Final = re.compile(r" (?:-u|--user)[ =][\"']?[\w.@\-]{1,64}:(?P<value>[^\s\"']{4,128})")
_SAID: Final = re.compile(
    r"[mMpP](?:(?:ật khẩu|at khau|assword|asscode|assphrase|ẬT KHẨU|ASSWORD|[kK]"
    r"|ass(?=[ \t]{1,2}(?:(?:wifi|e?mail|fb|facebook|zalo|của|cua|em|anh|mình|là|la|is|máy"
    r"|account)\b|(?=\S{0,30}[0-9])(?=\S{0,30}[#$%^&*!@])(?!\S{0,40}@\S{1,40}\.\w))))\b)"
    r"(?:[ \t]{1,2}(?:wifi|wi-fi|của|cua|tôi|toi|em|anh|mình|minh|đăng nhập|dang nhap|mới|moi"
    r"|is|was|là|la|for|it|the|email|máy|may|ngân hàng|tài khoản|account|my|login|root|admin)){0,5}"
    r"[ \t]{1,2}[\"'“`]?(?P<value>[^\s\"'”`,;]{6,64})"
)
# What is said before a key in a sentence: "secret key của shop là 5f2c…".
_KEY_SAID: Final = re.compile(
    r"(?<!\w)(?:(?:api|secret|access|auth|app|client|private)[ _\-]?(?:key|secret)|secret|token"
    r"|(?:khoá|khóa|khoa)[ ](?:bí mật|bi mat|api|truy cập|truy cap))"
    r"(?:[ \t]{1,2}(?!id\b|hash\b|sha)[^\W\d_]{1,12}){0,5}[ \t]{1,2}[\"'“`]?$",
    re.IGNORECASE,
)
_REST_OF_KEY: Final = re.compile(r"[\w+/=\-]*+(?:\.[\w+/=\-]++)*+(?!@)")
_CUT: Final = re.compile(r"[\n:=,;(\[{]")  # what a name does not go on over
_SO: Final = re.compile(r"\b(?:là|la|is)[ \t]")
# Names of what is secret, folded and without spaces; the name may have words before it.
_NAMES: Final = re.compile(
    r"(?:api|access|secret|private|auth|signing|encryption|master|account|service|client|session|app"
    r"|bot|refresh|id|security|storage|license|csrf|webhook|db|database|root|admin|user|ssh|jwt|"
    r"openai|aws|azure|gcp|github|slack|stripe|hash|checksum|merchant|partner|consumer|payment"
    r"|vnpay|vnp|momo|zalo|facebook|fb|google|firebase|telegram|discord|twilio)*"
    r"(?:apikey|secretkey|accesskey|privatekey|authkey|secret|token|accountkey|password|passwd|passphrase"
    r"|pwd|matkhau|clientsecret|connectionstring|xapikey|signingkey|encryptionkey|masterkey"
    r"|authorization|credential|credentials|khoabimat|khoaapi|sharedkey|keyapi|accesskeyid"
    r"|checksumkey|hashkey|merchantkey|appkey|hmackey)"
    r"(?:base64|value|string|wifi|moi|cu|cuatoi|cuaem|hientai|tamthoi|dangnhap|mail|email"
    r"|vnpay|momo|zalopay|zalo|telegram|facebook|github|gitlab|slack|openai|google|aws|stripe|discord"
    r"|bot|app|server|production|prod|staging|test|dev|live|sandbox)?$"
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
    r"^(?:[*x.•\-_#]{3,}|<.*|\$\{?.*|\{\{?.*|%.*%|\[.*\]|(?:your|some|the)[_\- ].*|null|none|nil"
    r"|true|false|undefined|string|str|text|required|optional|change[_\-]?me|example.*"
    r"|placeholder.*|todo|redacted|hidden|secret|password|token|input|env|getenv.*|process\.env.*"
    r"|os\.environ.*|.*\.\.\.|.*…)$",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"^[A-Za-z_][\w]*(?:(?:\.|->|::)[A-Za-z_]\w*)*(?:[(\[{].*|[)\]}?]+)?$")
_CALL: Final = re.compile(r"^[A-Za-z_][\w.]*[(\[)]")


def assigned(text: str) -> Iterator[Span]:
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
    yield from _logins(text)


def _logins(text: str) -> Iterator[Span]:
    """Passwords of users in addresses and on command lines: `curl -u admin:…`."""
    if "://" in text:
        for address in _IN_URL.finditer(text):
            start, end = address.span("value")
            if not _PLACEHOLDER.match(text[start:end]):
                yield Span(start, end, "API_KEY", 1.0, "secrets")  # no part of an e-mail's name
    if " -u" in text or " --user" in text:
        for login in _LOGIN.finditer(text):
            if not login["value"].isdigit() and not _PLACEHOLDER.match(login["value"]):
                yield Span(*login.span("value"), "API_KEY", 0.9, "secrets")


def said(text: str) -> Iterator[Span]:
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
        if digits == len(value) and not _SO.search(text, found.start(), start):
            continue
        yield Span(start, end, "API_KEY", 0.7, "secrets")


def called_key(text: str, start: int, end: int) -> int:
    """Where the key ends that a long token is (the begin of), if the words before it say so and it
    looks random; 0 if not."""
    if not _KEY_SAID.search(text, max(0, start - 80), start):
        return 0
    rest = _REST_OF_KEY.match(text, end)
    value = text[start : rest.end()] if rest else ""
    digits = sum(map(str.isdigit, value))
    words = not value.isalnum() and value in (value.lower(), value.upper())
    random = 2 < digits < len(value) and not words and entropy(value) > 3.2
    return start + len(value) if random and len(value) > 19 else 0


def _name_before(text: str, end: int) -> str:
    """The name of a secret right before a colon or an equals sign, folded; empty if none."""
    words = fold(_CUT.split(text[max(0, end - 64) : end])[-1]).split()[-8:]
    if not words or not (words[-1] in _SHORT_NAMES or _HINT.search("".join(words))):
        return ""
    if words[-1] in _SHORT_NAMES:
        return words[-1]
    for count in range(1, len(words) + 1):
        joined = "".join(words[-count:])
        if count < 6 and _NAMES.match(joined):
            return joined
        if joined.startswith(("matkhau", "password")):
            return "password"  # whose it is was said between: mật khẩu máy tính của sếp
    return ""


def _without_tail(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1] in ".)]}!?|\\:":
        if text[end - 1] in ")]}" and any(sign in text[start:end] for sign in "([{"):
            break
        if text[end - 1] == "!" and end - start < 20:
            break  # many a password ends so
        end -= 1
    return end


def _secret_value(value: str, name: str, *, quoted: bool, after: str) -> bool:
    """Whether a value is a secret itself, and not where it comes from or an example of one."""
    if len(value) < 4 or _PLACEHOLDER.match(value) or value.startswith(("//", "=", ":", "(", "[")):
        return False
    digits = sum(map(str.isdigit, value))
    if not quoted and (after == "(" or _CALL.match(value)):
        return False
    code = not quoted and _CODE.match(value) is not None
    if name.endswith(_WORDLIKE) or name.startswith(("matkhau", "password", "mk")):
        if (code and not digits) or (" " in value and not (digits and len(value) < 40)):
            return False
        return len(value) >= 6 and (quoted or not value.isalpha())
    least = 16 if name == "key" else 8
    if " " in value or len(value) < least or not 0 < digits < len(value):
        return False
    return entropy(value) >= (3.2 if code else 2.5)


def entropy(value: str) -> float:
    """Bits a character, by how often each occurs in the value itself."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values()) if total else 0.0
