"""HTTP clients behind the door: every request, and every redirect, is checked before it is sent.

Apart from `egress`, so that a server that fetches nothing does not import an HTTP client.
"""

from __future__ import annotations

from typing import Any

import httpx2

from noibo.egress import Pass


def client(passed: Pass, transport: httpx2.BaseTransport, **options: Any) -> httpx2.Client:
    """An HTTP client that can reach what `passed` allows and nothing else."""
    guarded = GuardedTransport(transport, passed)
    return httpx2.Client(transport=guarded, trust_env=False, **options)


class GuardedTransport(httpx2.BaseTransport):
    """Checks each request against a pass before the wrapped transport sends it."""

    def __init__(self, inner: httpx2.BaseTransport, passed: Pass) -> None:
        self._inner = inner
        self._passed = passed

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._passed.check(str(request.url), request.method)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()
