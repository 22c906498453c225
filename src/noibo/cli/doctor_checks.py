"""What `noibo doctor` finds out about the home, the settings and the models.

A check yields findings, or raises: an error of ours is a finding by itself.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import noibo
from noibo.errors import ModelNotFound, NoiboError
from noibo.modelstore.manifest import InStore
from noibo.modelstore.progress import size_text
from noibo.modelstore.store import StoredModel
from noibo.settings import Settings

LITTLE_SPACE = 2 * 10**9
LARGEST_HASHED = 4 * 10**9  # more takes longer than one waits for a doctor


class Level(Enum):
    """How bad it is. Only a problem makes `noibo doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact and what to do about it."""

    level: Level
    text: str
    next_step: str = ""

    @classmethod
    def of(cls, error: NoiboError, level: Level = Level.PROBLEM) -> Finding:
        """What one of our errors says."""
        return cls(level, error.message, error.next_step)

    @classmethod
    def unexpected(cls, exc: Exception) -> Finding:
        """An error that nobody thought of."""
        said = f"{type(exc).__name__}: {exc}".strip().rstrip(".:")
        return cls(Level.PROBLEM, f"This could not be looked at: {said}.")

    def as_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return {"level": self.level.value, "text": self.text, "next_step": self.next_step}


Check = Callable[[Settings], Iterator[Finding]]


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def python() -> Finding:
    """Which Python runs noibo."""
    return _ok(f"noibo {noibo.__version__}, Python {platform.python_version()} ({sys.executable})")


def settings_found(tree: Settings) -> Finding:
    """Where the settings came from; that they can be read is known by now."""
    changed = [name for name, source in tree.sources.items() if source != "default"]
    file = str(tree.file) if tree.file.exists() else f"no file {tree.file}"
    return _ok(f"{file}; {len(changed)} set, the others as they are by default")


def home(tree: Settings) -> Iterator[Finding]:
    """Files can be written, and there is room."""
    apart = not tree.models_folder.is_relative_to(tree.home)
    for folder in (tree.home, *([tree.models_folder] if apart else [])):
        there = next(part for part in (folder, *folder.parents) if part.exists())
        try:
            tempfile.TemporaryFile(dir=there).close()
        except OSError as exc:
            yield Finding(
                Level.PROBLEM,
                f"Nothing can be written to {folder} ({exc.strerror}).",
                "Mend its permissions, or name another folder: NOIBO_HOME, store.path.",
            )
            continue
        free = shutil.disk_usage(there).free
        if free < LITTLE_SPACE:
            said = f"Only {size_text(free)} are free in {folder}."
            yield Finding(Level.WARNING, said, "Models need more: make room, or set store.path.")
        else:
            yield _ok(f"{folder} can be written, {size_text(free)} free")


def default_model(tree: Settings) -> Iterator[Finding]:
    """The model that is used when none is named is here and whole."""
    from noibo.assembly import open_store
    from noibo.modelstore.gguf.model_info import inspect_model

    try:
        model = open_store(tree).get(tree.default_model)
    except ModelNotFound:
        said = f"The default model {tree.default_model} is not here."
        yield Finding(Level.WARNING, said, f"Fetch it: `noibo pull {tree.default_model}`.")
        return
    inspect_model(model.path)
    if _is_other_than_promised(model):
        said = f"The file of {model.reference} is damaged: {model.path}."
        step = "Mend it, by fetching only the bad part: `noibo store check --repair`."
        yield Finding(Level.PROBLEM, said, step)
        return
    yield _ok(f"{model.reference} is here and whole ({size_text(model.size)})")


def _is_other_than_promised(model: StoredModel) -> bool:
    first = model.manifest.files[0]
    if not isinstance(first.file, InStore) or model.size > LARGEST_HASHED:
        return False  # size and time are what is known of it, and were looked at
    with model.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest != first.file.sha256


def store(tree: Settings) -> Iterator[Finding]:
    """What else is in the store."""
    from noibo.assembly import open_store

    survey = open_store(tree).survey()
    count = len(survey.models)
    yield _ok(f"{count} model{'s' * (count != 1)} in {tree.models_folder}")
    for problem in survey.problems:
        yield Finding.of(problem, Level.WARNING)
