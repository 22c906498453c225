"""noibo (nội bộ, "in-house"): private AI on your own machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noibo.version import __version__

if TYPE_CHECKING:
    from noibo.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    # `import noibo` costs nothing; the client is imported when it is asked for.
    if name in {"Client", "AsyncClient"}:
        from noibo import client

        return getattr(client, name)
    raise AttributeError(f"module 'noibo' has no attribute {name!r}")
