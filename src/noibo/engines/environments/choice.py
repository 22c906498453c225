"""Which build of llama.cpp is used: the trusted one with the best device, as long as it does not
die of an illegal instruction in use; else the wheel that came with noibo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from noibo.engines.environments.environment import Environment, Environments
from noibo.engines.supervision.builds import Builds

Built: TypeAlias = Callable[[], Environment | None]


def no_other() -> Environment | None:
    """The wheel that came with noibo."""
    return None


def build_name(found: Environment) -> str:
    """Another name when it was installed anew."""
    return f"{found} {found.trusted_at}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Looks at a few small files each time: what is installed counts from then on."""

    environments: Environments
    builds: Builds

    def __call__(self) -> Environment | None:
        return next(
            (
                found
                for found in self.environments.for_llama_cpp()
                if not self.builds.disqualified(f"llama_cpp {build_name(found)}")
            ),
            None,
        )
