"""What pip is told of how its user has set it: by name, in its environment. Pure.

Its files are not read again, for they may lead it elsewhere than into the environment (`target`,
`user`, `prefix`), and to other places than the door was asked for. An address may carry a password,
so none stands in a command line, which other users of the machine can read.
"""

from __future__ import annotations

import os

from noibo.modelstore.index.pip_settings import PipSettings


def handed(said: PipSettings, index: str) -> dict[str, str]:
    """pip's variables; an empty one is to be left out, whatever the user's environment has there.
    With an `index` of its own pip asks that one and no other place."""
    indexes = (index,) if index else said.indexes
    links = () if index else said.find_links
    unset = said.proxy is None and not said.use_proxy_variables
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": indexes[0] if indexes else "",
        "PIP_EXTRA_INDEX_URL": " ".join(indexes[1:]),
        "PIP_FIND_LINKS": " ".join(links),
        "PIP_NO_INDEX": "" if indexes else "1",
        "PIP_TRUSTED_HOST": " ".join(said.trusted_hosts),
        "PIP_PROXY": said.proxy or "",
        "PIP_NO_PROXY_ENV": "1" if unset else "",
        "PIP_CERT": said.ca_bundle or "",
        "PIP_CLIENT_CERT": said.client_cert or "",
        "PIP_TIMEOUT": f"{said.timeout_s:g}",
        "PIP_RETRIES": str(said.retries),
        "PIP_PYPI_URL": "",  # the same options by their other names
        "PIP_DEFAULT_TIMEOUT": "",
    }


def plain_name(name: str) -> str:
    """A variable's name, as pip reads it."""
    return name.upper().replace("-", "_") if name.startswith("PIP_") else name
