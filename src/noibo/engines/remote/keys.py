"""Keys for other servers. Those in the system's keyring are read when a server is first asked.

`keyring` is an optional package: what it reads from (GNOME, KWallet, macOS, Windows) is the
system's own. A key is a value in memory, and stands in no message.
"""

from __future__ import annotations

from collections.abc import Mapping

from noibo.errors import SettingsError
from noibo.model_settings import ENVIRONMENT, KEYRING, ModelSettings, header_key


def require_set(models: Mapping[str, ModelSettings]) -> None:
    """Raises `SettingsError` where a model's key is to be in a variable that is not set: a server
    says so at its start, and not when somebody asks."""
    for own in models.values():
        if own.api_key.startswith(ENVIRONMENT):
            key_of(own.api_key)


def key_of(said: str) -> str:
    """The key itself. Raises `SettingsError`. May wait for the user: not for the event loop."""
    said = said.strip()
    if said.startswith(ENVIRONMENT):
        variable = said.removeprefix(ENVIRONMENT)
        raise SettingsError(
            f"A model elsewhere takes its api_key from the variable {variable}, which is not set.",
            next_step=f"Set {variable} where noibo is started, or write the key into noibo.toml.",
        )
    if not said.startswith(KEYRING):
        return header_key(said, "A model elsewhere")
    service, _, user = said.removeprefix(KEYRING).rpartition("/")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise SettingsError(
            f"{said} stands in noibo.toml, and no package here reads the keyring.",
            next_step='Install it: `python -m pip install "noibo[keyring]"`.',
        ) from None
    try:
        found: str | None = keyring.get_password(service, user)
    except KeyringError as exc:
        raise SettingsError(
            f"The keyring does not give out {said}: {exc}.",
            next_step="Unlock it, or write api_key as env:NAME.",
        ) from exc
    if not found or not found.strip():
        raise SettingsError(
            f"The keyring has no {said}.",
            next_step=f"Put it there: `python -m keyring set {service} {user}`.",
        )
    return header_key(found, said)
