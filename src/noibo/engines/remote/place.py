"""Where a remote model is, as its address says: on this machine, in the user's own network, or
anywhere (`noibo.networks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from noibo.egress import Destination
from noibo.errors import EgressRefused, SettingsError
from noibo.model_settings import ModelSettings
from noibo.networks import Network

_IN_OLLAMAS_CLOUD: Final = ("-cloud", ":cloud")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one remote model is asked for. `url` has no slash at its end. `hands_on`: who is there
    asks others, and how far those are its address does not say."""

    url: str
    destination: Destination
    network: Network
    hands_on: bool = False

    @classmethod
    def of(
        cls, model: str, base_url: str, *, own_network: bool = False, hands_on: bool = False
    ) -> Place:
        """`own_network`: it is said that the name leads into the user's own. Raises `SettingsError`
        for an address that is none, or that would carry prompts in the clear."""
        where = f'[models."{model}"] base_url'
        there = _destination(where, base_url)
        network = Network.of(base_url, own=own_network)
        if network.cannot_have(there.host):
            raise SettingsError(
                f"{where}: {there} is no address of a server.",
                next_step="Name a server, such as https://openrouter.ai/api/v1.",
            )
        if network is Network.PUBLIC and there.scheme != "https":
            raise SettingsError(
                f"{where}: {there} is beyond your network, and http would carry every prompt and "
                "the key there for all to read.",
                next_step="Write https://; or, for a server in a network of your own, add "
                "own_network = true.",
            )
        return cls(base_url.rstrip("/"), there, network, hands_on)

    @classmethod
    def of_model(cls, name: str, own: ModelSettings) -> Place:
        """Of a model as its table has it. Models of Ollama's that are called so are answered by
        ollama.com, whichever Ollama is asked. Raises `SettingsError`."""
        there = own.model or name
        in_cloud = own.engine == "ollama" and there.endswith(_IN_OLLAMAS_CLOUD)
        hands_on = own.hands_on or in_cloud
        return cls.of(name, own.base_url, own_network=own.own_network, hands_on=hands_on)

    @property
    def outside(self) -> bool:
        """True where to ask it is to let something leave this machine."""
        return self.hands_on or self.network is not Network.HERE


def _destination(where: str, base_url: str) -> Destination:
    try:
        there = Destination.of(base_url)
    except EgressRefused as refused:
        raise SettingsError(
            f"{where}: {refused.message}",
            next_step='Write an address such as "http://127.0.0.1:8000/v1".',
        ) from None
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            f"{where}: {there} has a name, a password or a question in its address.",
            next_step="A key goes into api_key; the address is host, port and path.",
        )
    return there
