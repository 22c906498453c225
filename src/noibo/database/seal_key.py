"""Fetches the keys that seal what is stored, from where the settings say they are.

A key never stands in noibo.toml, nor in a variable of noibo's own: it lies in a file that only its
user reads (on another disk, or handed out at the start), in a variable that something else sets, or
in the system's keyring.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from noibo.database.seal import KEY_BYTES, Seal, SealKey
from noibo.errors import NameTaken, SettingsError
from noibo.settings import variable

_LONGEST: Final = 4096


def seal_of(key: str, former: tuple[str, ...]) -> Seal:
    """The seal by what `encryption.key` and `encryption.former_keys` say. Raises
    `SettingsError`."""
    said = [*([key] if key else []), *former]
    keys = [SealKey.of(_secret(one)) for one in said]
    seal = Seal(keys)
    if not key:
        seal.first = None  # former ones only open
    return seal


def make_key(path: Path) -> SealKey:
    """A new key in a file of its own. Raises `NameTaken`, `SettingsError`."""
    secret = secrets.token_bytes(KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise NameTaken(
            f"{path} is there already: a key that is written over opens nothing any more.",
            next_step="Name another file.",
        ) from None
    except OSError as exc:
        raise SettingsError(f"{path} cannot be written: {exc.strerror}.") from exc
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(base64.b64encode(secret).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return SealKey.of(secret)


def _secret(said: str) -> bytes:
    kind, _, where = said.partition(":")
    if kind == "file" and where:
        text = _from_file(Path(where).expanduser())
    elif kind == "env" and where:
        text = variable(where)
        if not text:
            raise SettingsError(f"encryption.key says {said}, and there is no variable {where}.")
    elif kind == "keyring" and where:
        text = _from_keyring(where)
    else:
        raise SettingsError(
            "encryption.key says where a key is, and is none itself.",
            next_step="Write file:PATH, env:NAME or keyring:SERVICE/USER; `noibo privacy new-key"
            " PATH` makes a key.",
        )
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise SettingsError(
            f"What {kind}:{where} holds is no key: {KEY_BYTES} random bytes, written as base64.",
            next_step="`noibo privacy new-key PATH` makes one.",
        )
    return secret


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if os.name != "nt" and os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SettingsError(
                    f"Others may read the key in {path}.", next_step=f"chmod 600 {path}"
                )
            return file.read(_LONGEST).decode("ascii", "replace")
    except OSError as exc:
        raise SettingsError(
            f"The key in {path} cannot be read: {exc.strerror}.",
            next_step="Put it there, or correct encryption.key; without it nothing that is sealed"
            " can be read.",
        ) from exc


def _from_keyring(where: str) -> str:
    service, _, user = where.rpartition("/")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise SettingsError(
            "encryption.key names the keyring, and no package here reads it.",
            next_step='Install it: `python -m pip install "noibo[keyring]"`.',
        ) from None
    try:
        found: str | None = keyring.get_password(service, user)
    except KeyringError as exc:
        raise SettingsError(f"The keyring does not give out {where}: {exc}.") from exc
    if not found:
        raise SettingsError(
            f"The keyring has no {where}.",
            next_step=f"Put it there: `python -m keyring set {service} {user}`.",
        )
    return found
