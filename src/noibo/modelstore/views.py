"""Folders in which blobs stand under the names an engine looks for.

A model in parts, or a checkpoint of many files, must lie in one folder under its own file names.
A view is such a folder, `views/<digest>/`, of hard links: it takes no room, and goes with the last
model that needs it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
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
    """Make the view, whole or not at all; a broken one is replaced. Under the store's lock."""
    if is_whole(view, files):
        return  # another one has just made it
    with faults_named(view.parent):
        view.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=view.parent))
        try:
            for name, blob in files:
                target = temporary / PurePosixPath(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(blob, target)
            shutil.rmtree(view, ignore_errors=True)
            temporary.replace(view)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:  # a file system without hard links
        target.symlink_to(os.path.relpath(blob, target.parent))


def size(view: Path) -> int:
    """Bytes that only this view holds: of files that are no blob any more."""
    found = [path.lstat() for path in view.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(one.st_size for one in found if one.st_nlink == 1)


def remove(view: Path) -> None:
    """Remove a view; the blobs stay."""
    shutil.rmtree(view, ignore_errors=True)
