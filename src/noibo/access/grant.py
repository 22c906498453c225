"""What somebody may do: a role, narrowed to some models and some routes.

A route needs one of five permissions (`gateway.access.permissions` says which). What a key names of
models and routes only ever takes away: nothing in a key gives more than its role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Literal, cast, get_args

from noibo.errors import UsageError

Role = Literal["admin", "developer", "user"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class Permission(StrEnum):
    """What a route needs of who calls it."""

    ASK = "ask"  # a model answers
    KEEP = "keep"  # responses, files and batches of one's own
    LOOK = "look"  # which models there are, what runs, who waits
    MANAGE = "manage"  # models are fetched, made, removed, loaded
    ADMIN = "admin"  # keys and users, and the server itself


_USER: Final = frozenset({Permission.ASK, Permission.KEEP, Permission.LOOK})
_OF_ROLE: Final[Mapping[Role, frozenset[Permission]]] = {
    "user": _USER,
    "developer": _USER | {Permission.MANAGE},
    "admin": frozenset(Permission),
}
_OF_MODELS: Final = frozenset({Permission.MANAGE, Permission.ADMIN})


@dataclass(frozen=True, slots=True)
class Grant:
    """`models`: patterns of names (`qwen*`); `routes`: permissions, or patterns of paths
    (`/v1/embeddings`, `/v1/*`). Empty: all that the role may."""

    role: Role
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(
                f"There is no role {self.role!r}.", next_step=f"Roles: {', '.join(ROLES)}."
            )
        for one in self.routes:
            if not one.startswith("/") and one not in set(Permission):
                raise UsageError(
                    f"{one!r} is neither a path nor a permission.",
                    next_step="Name paths from their `/` on (/v1/embeddings, /v1/*), or "
                    f"permissions: {', '.join(Permission)}.",
                )

    def may(self, permission: Permission, path: str) -> bool:
        """True if a route at `path` that needs `permission` may be called. Who may use only some
        models may not fetch, make or remove any."""
        if permission not in _OF_ROLE[self.role] or (self.models and permission in _OF_MODELS):
            return False
        return not self.routes or any(
            fnmatchcase(path, one) if one.startswith("/") else one == permission
            for one in self.routes
        )

    def may_use(self, *names: str) -> bool:
        """True if a model may be used that goes by any of these names. Capitals do not count, and
        `:latest` goes without saying, as everywhere in names of models."""
        if not self.models:
            return True
        said = {name.lower() for name in names}
        said |= {name.removesuffix(":latest") for name in said}
        return any(fnmatchcase(name, one.lower()) for name in said for one in self.models)


EVERYTHING: Final = Grant("admin")


def grant_of(role: str, models: Iterable[str], routes: Iterable[str]) -> Grant:
    """A grant as it is typed. Raises `UsageError`."""
    return Grant(cast("Role", role), _words(models), _words(routes))


def _words(said: Iterable[str]) -> tuple[str, ...]:
    """What was listed, also with commas between, once each."""
    return tuple(
        dict.fromkeys(word.strip() for one in said for word in one.split(",") if word.strip())
    )
