"""Who asks: found once by the `Doorman`, and carried by the request and by all that is done for it.

What is to be used for a request is checked against `now()`, which tasks and threads begun for that
request have too: no way to a model can forget to hand it on. What the server does for itself, as
loading a model at its start, is done by nobody and may do everything.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from noibo.access.audit import ACTING
from noibo.access.grant import EVERYTHING, Grant
from noibo.access.user import LOCAL, User
from noibo.errors import TELLS_LINES, Forbidden

_IN_SCOPE: Final = "noibo.identity"
BY_KEY: Final = "key:"  # in front of a key's id
BY_USER: Final = "user:"  # in front of the name of one who is signed in


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` tells callers apart in the queue; `owner` is whose everything is that this one stores,
    and all that it can see of what is stored; `near` is true for what came from this machine by
    itself, and may name its files."""

    name: str
    owner: str = LOCAL
    grant: Grant = EVERYTHING
    by: str = ""  # `key:ID` or `user:NAME`; empty for who is on this machine
    said: str = "Whoever works on this machine"  # in a refusal
    near: bool = False
    key_name: str = ""  # what its key is called by who gave it out

    def put(self, scope: MutableMapping[str, Any]) -> None:
        """Let the request carry it, and all that is done for it from here on."""
        scope[_IN_SCOPE] = self
        _NOW.set(self)
        ACTING.set(self.by)
        TELLS_LINES.set(self.grant.role == "admin")

    @classmethod
    def of_user(cls, user: User, *, near: bool) -> Identity:
        """One who is signed in."""
        by = f"{BY_USER}{user.name}"
        return cls(by, user.name, user.grant, by, f"The user {user.name!r}", near)

    @property
    def user(self) -> str:
        """The name of one who is signed in; empty for any other."""
        return self.by.removeprefix(BY_USER) if self.by.startswith(BY_USER) else ""

    def require_model(self, *names: str) -> None:
        """Raise `Forbidden` unless a model may be used that goes by any of these names, which are
        its own and its aliases."""
        if not self.grant.may_use(*names):
            raise Forbidden(
                f"{self.said} may not use the model {names[0][:80]!r}.",
                next_step=f"It may use {', '.join(self.grant.models)}; who runs this server can "
                "give out a key for more.",
            )

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


_ITSELF: Final = Identity("noibo")
_NOW: ContextVar[Identity] = ContextVar("noibo.identity", default=_ITSELF)


def now() -> Identity:
    """For whom this is done."""
    return _NOW.get()
