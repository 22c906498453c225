"""Where a remote model may be: for now on this machine only.

What may leave the machine will be decided by privacy labels. Until there are any, nothing does.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from noibo.egress import Destination, is_loopback
from noibo.errors import EgressRefused, SettingsError


def require_here(model: str, base_url: str) -> None:
    """Raise `SettingsError` for an address that is none, or is not on this machine."""
    where = f'[models."{model}"] base_url'
    try:
        there = Destination.of(base_url)
    except EgressRefused as refused:
        raise SettingsError(
            f"{where}: {refused.message}",
            next_step='Write an address such as "http://127.0.0.1:8000/v1".',
        ) from None
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            f"{where}: {there} has a name, a password or a question in its address.",
            next_step="A key goes into api_key; the address is host, port and path.",
        )
    if not is_loopback(base_url):
        raise SettingsError(
            f"{where}: {there} is not on this machine. Models elsewhere are closed until there "
            "are privacy labels, which will say what may leave it.",
            next_step="Name a server on this machine, such as http://127.0.0.1:8000/v1.",
        )
