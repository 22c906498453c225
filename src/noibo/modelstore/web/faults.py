"""What can go wrong between here and a server, in words without secrets."""

from __future__ import annotations

from typing import Final

import httpx2

from noibo.modelstore.web.credentials import clean

# Statuses after which another try may do better.
PASSING_FAULTS: Final = frozenset({408, 429, 500, 502, 503, 504, 520, 527})


def status_fault(url: str, status: int) -> str:
    """Why an address did not give what was asked, by its HTTP status."""
    why = {
        401: "it wants a user and a password (in the index address, or in netrc)",
        403: "it refuses (403)",
        404: "it does not have it (404)",
        407: "the proxy wants a user and a password",
    }
    return f"{clean(url)}: {why.get(status, f'it answered {status}')}"


def is_lasting(exc: httpx2.TransportError) -> bool:
    """True for a fault that another try cannot mend."""
    return "CERTIFICATE_VERIFY_FAILED" in str(exc)


def network_fault(exc: httpx2.TransportError) -> str:
    """What went wrong on the way, in words."""
    text = str(exc)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "its certificate is not trusted here (a company's own authority: set pip's option "
            "cert, or REQUESTS_CA_BUNDLE)"
        )
    if isinstance(exc, httpx2.ProxyError):
        return f"the proxy refused: {text}"
    if isinstance(exc, httpx2.ConnectTimeout):
        return "no connection within the time allowed"
    if isinstance(exc, httpx2.TimeoutException):
        return "it stood still for longer than is allowed"
    return f"the connection failed: {text}" if text else "the connection failed"
