"""Conversations of `noibo run` on disk: one JSON file each, which only its owner reads."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from noibo.errors import UsageError


class Turn(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str


class Conversation(msgspec.Struct, frozen=True):
    """What `/save` keeps and `/load` takes up again."""

    model: str
    system: str
    turns: list[Turn]

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1)
        fresh = private(path.with_suffix(".tmp"))
        try:
            fresh.write_bytes(data)
            fresh.replace(path)
        except OSError as exc:
            raise _unwritable(path, exc) from exc

    @classmethod
    def read(cls, path: Path) -> Conversation:
        """Read it; `UsageError` says what is wrong with it, or which others there are."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            names = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
            raise UsageError(
                f"Nothing is saved as {path.stem}.", next_step=f"Saved: {names}."
            ) from None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise UsageError(f"{path} is damaged: {exc}.") from exc


def file_of(home: Path, name: str) -> Path:
    """Where a conversation of that name is kept."""
    if not re.fullmatch(r"\w[\w .-]{0,80}", name):
        raise UsageError("That is no name for a conversation.", next_step="/save my-chat")
    return home / "conversations" / f"{name}.json"


def private(path: Path) -> Path:
    """The file, made for its owner alone: what is said here is nobody else's."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    return path


def _unwritable(path: Path, exc: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {exc.strerror}.")
