"""Folders in which blobs stand under the names an engine looks for.

A model in parts, or a checkpoint of many files, must lie in one folder under its own file names.
A view is such a folder, `views/<digest>/`, of hard links: it takes no room, and goes with the last
model that needs it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from noibo.modelstore.disk import faults_named


def name_of(files: Sequence[tuple[str, Path]]) -> str:
    """The name of the view of these (name, blob)s: the same for the same files."""
    said = "\n".join(f"{name}\0{blob.name}" for name, blob in sorted(files))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def is_whole(view: Path, files: Sequence[tuple[str, Path]]) -> bool:
    """True if every file of the view is the blob it should be."""
    try:
        return all((view / PurePosixPath(name)).samefile(blob) for name, blob in files)
    except OSError:
        return False


def build(view: Path, files: Sequence[tuple[str, Path]]) -> None:
    """Make the view, whole or not at all; a broken one is replaced."""
    temporary = view.with_name(f".{view.name}.{os.getpid()}")
    with faults_named(view.parent):
        shutil.rmtree(temporary, ignore_errors=True)
        for name, blob in files:
            target = temporary / PurePosixPath(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(blob, target)
        shutil.rmtree(view, ignore_errors=True)
        try:
            temporary.replace(view)
        except OSError:  # another noibo was quicker
            shutil.rmtree(temporary, ignore_errors=True)
            if not is_whole(view, files):
                raise


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:  # a file system without hard links
        target.symlink_to(os.path.relpath(blob, target.parent))


def remove(view: Path) -> None:
    """Remove a view; the blobs stay."""
    shutil.rmtree(view, ignore_errors=True)
