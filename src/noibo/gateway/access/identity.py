"""Who asks: found once by the `Doorman`, and carried by the request."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from noibo.access.grant import EVERYTHING, Grant

LOCAL: Final = "local"  # whoever works on this machine, without a key
_IN_SCOPE: Final = "noibo.identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` tells callers apart in the queue; `owner` is whose everything is that this one stores,
    and all that it can see of what is stored."""

    name: str
    owner: str = LOCAL
    grant: Grant = EVERYTHING
    by: str = ""  # `key:ID` or `user:NAME`; empty for who is on this machine
    said: str = "Whoever works on this machine"  # in a refusal

    def put(self, scope: MutableMapping[str, Any]) -> None:
        """Let the request carry it."""
        scope[_IN_SCOPE] = self

    @staticmethod
    def known(scope: MutableMapping[str, Any]) -> bool:
        """True for a request whose identity is known before it is judged: one of our own."""
        return _IN_SCOPE in scope

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Identity:
        """Who asks. A request that nobody judged is nobody's: that is an error of ours."""
        found = scope[_IN_SCOPE]
        assert isinstance(found, Identity)  # noqa: S101 - put there by `put`
        return found
