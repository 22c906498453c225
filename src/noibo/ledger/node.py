"""The secrets of this node: the key that signs its ledgers, and the salt of its digests.

One file, which only its user reads, made when it is first needed. Who can read it can sign: it
keeps apart those who may write to this folder from those who may not, and what was signed before
from what was made up later; against who owns the folder only a head that is kept elsewhere helps.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock

from noibo.errors import LedgerError

FILE_NAME: Final = "node_key.json"
_PATIENCE_S: Final = 10.0
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)


class _Kept(msgspec.Struct, frozen=True):
    version: int
    private: str
    salt: str
    begun: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node's secrets. `public` is its name to others: its key's public half; `begun`: the ledgers
    that it has, so that one that is gone altogether is missed."""

    private: bytes
    salt: bytes
    public: str
    begun: frozenset[str] = frozenset()

    def sign(self, text: str) -> str:
        """The Ed25519 signature of a text."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return _text(Ed25519PrivateKey.from_private_bytes(self.private).sign(text.encode()))

    def digest(self, spice: str, sha256: bytes) -> str:
        """What is kept of a content: nobody who lacks the salt can find a short one by trying, and
        two equal ones do not look equal. HMAC-SHA256 of the row's `spice` and the content's
        SHA-256."""
        return hmac.digest(self.salt, spice.encode() + sha256, "sha256").hex()

    def mark(self, row: bytes) -> str:
        """What only this node can put on a row. The first half of an HMAC-SHA256."""
        return hmac.digest(self.salt, b"row " + row, "sha256").hex()[:32]

    def pseudonym(self, name: str) -> str:
        """What stands for a name in rows that nobody can take back; empty for none."""
        return hmac.digest(self.salt, b"name " + name.encode(), "sha256").hex()[:16] if name else ""


def node_of(folder: Path) -> Node:
    """The secrets that lie in a folder, made if there are none. Raises `LedgerError`."""
    path = folder / FILE_NAME
    try:
        found = find_node(folder)
        if found is not None:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_PATIENCE_S, mode=0o600):
            return find_node(folder) or _make(path)
    except (OSError, TimeoutError) as exc:
        raise LedgerError(
            f"The key that signs what leaves cannot be made or read: {path}: {exc}.",
            next_step="Make room on its disk, or mend the folder's permissions.",
        ) from exc


def note_begun(folder: Path, ledger: str) -> None:
    """Remember that a ledger is begun. Raises `LedgerError`, `OSError`."""
    path = folder / FILE_NAME
    with FileLock(path.with_suffix(".lock"), timeout=_PATIENCE_S, mode=0o600):
        node = find_node(folder)
        if node is not None and ledger not in node.begun:
            _keep(path, _kept(node, {*node.begun, ledger}))


def find_node(folder: Path) -> Node | None:
    """The secrets that lie in a folder, if there are any. Raises `LedgerError`."""
    path = folder / FILE_NAME
    try:
        handle = os.open(path, os.O_RDONLY | _NO_LINKS)
        try:
            data = os.read(handle, 4096)
        finally:
            os.close(handle)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LedgerError(
            f"The key of this node cannot be read: {path}: {exc.strerror}.",
            next_step="It is a file of its own, which the server's user may read: mend that.",
        ) from exc
    try:
        return _node(msgspec.json.decode(data, type=_Kept))
    except (msgspec.MsgspecError, ValueError) as exc:
        raise LedgerError(
            f"{path} is damaged: {exc}.",
            next_step="Put it back from a copy; without it, move it away: another key is made, and"
            " that it was replaced will show.",
        ) from exc


def is_private(folder: Path) -> bool:
    """True if nobody else may read the key file; true where there are no such rights."""
    if os.name == "nt":
        return True
    mode = (folder / FILE_NAME).stat().st_mode
    return not mode & (stat.S_IRWXG | stat.S_IRWXO)


def proves(public: str, text: str, signature: str) -> bool:
    """True if who has the other half of `public` signed `text`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(_bytes(public))
        key.verify(_bytes(signature), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _make(path: Path) -> Node:
    private, salt = secrets.token_bytes(32), secrets.token_bytes(32)
    kept = _Kept(1, base64.b64encode(private).decode(), base64.b64encode(salt).decode())
    _keep(path, kept)
    return _node(kept)


def _keep(path: Path, kept: _Kept) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(kept))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _kept(node: Node, begun: Iterable[str]) -> _Kept:
    private, salt = (base64.b64encode(one).decode() for one in (node.private, node.salt))
    return _Kept(1, private, salt, tuple(sorted(begun)))


def _node(kept: _Kept) -> Node:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, salt = base64.b64decode(kept.private), base64.b64decode(kept.salt)
    public = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return Node(private, salt, _text(public), frozenset(kept.begun))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
