"""What a command depends on besides what was typed: settings, tokens, proxies, places of other
programs' models, as one digest.

`HF_TOKEN=… noibo pull …` must not be done by a server that has no such token, nor an offline
command by a server that is online. A server writes down the digest of its own surroundings; a
command that finds another one does its work itself.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Final

import msgspec

from noibo.settings import Settings, full_environment
from noibo.version import __version__

_BEGINNINGS: Final = ("HF_", "HUGGING", "PIP_", "SSL_CERT_", "GITHUB_", "GH_")
_ENDINGS: Final = ("_PROXY",)
_PLACES: Final = (  # of other programs' models
    *("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
    *("XDG_CACHE_HOME", "XDG_DATA_HOME", "OLLAMA_MODELS", "LLAMA_CACHE"),
)
_NAMES: Final = frozenset({*_PLACES, "NETRC", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"})


def digest(tree: Settings, salt: str = "") -> str:
    """`SALT:DIGEST`, with a fresh salt unless one is given: there are secrets among it."""
    salt = salt or secrets.token_hex(16)
    said = {
        "version": __version__,
        "offline": tree.offline,
        "store": str(tree.models_folder),
        "fetch": msgspec.to_builtins(tree.fetch),
        "licences": msgspec.to_builtins(tree.licences),
        "environment": {
            name: value for name, value in sorted(full_environment().items()) if _matters(name)
        },
    }
    text = json.dumps(said, sort_keys=True)
    return f"{salt}:{hashlib.sha256(f'{salt}{text}'.encode()).hexdigest()}"


def are_these(tree: Settings, other: object) -> bool:
    """True if `other`, a digest that somebody wrote down, is of the same surroundings."""
    salt, colon, _ = str(other).partition(":")
    return bool(colon) and secrets.compare_digest(digest(tree, salt), str(other))


def _matters(name: str) -> bool:
    upper = name.upper()
    return upper in _NAMES or upper.startswith(_BEGINNINGS) or upper.endswith(_ENDINGS)
