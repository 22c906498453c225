"""Another server as the user named it: its address, its model, where its key is, its prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from noibo.errors import UsageError
from noibo.evaluation.cost import Tariff
from noibo.evaluation.sides import Side, address


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server as the user named it. `key_env` names the variable with its key."""

    url: str
    model: str = ""
    key_env: str = ""
    tariff: Tariff | None = None

    def side(self, environ: Mapping[str, str]) -> Side:
        """Without a model yet where none was named. Raises `UsageError`, `EgressRefused`."""
        base_url = address(self.url)
        headers = {}
        if self.key_env:
            key = environ.get(self.key_env, "")
            if not key:
                raise UsageError(
                    f"--vs-key-env: there is no variable {self.key_env}, or it is empty.",
                    next_step=f"export {self.key_env}=…",
                )
            headers = {"Authorization": f"Bearer {key}"}
        return Side("", base_url, self.model, headers, tariff=self.tariff)


def tariff(text: str) -> Tariff:
    """Prices as typed, `0.15,0.60`: for a million tokens read, and written."""
    parts = text.split(",")
    try:
        read, written = (float(part) for part in parts)
        if not (0 <= read < float("inf") and 0 <= written < float("inf")):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--vs-price: {text!r} is not two prices.",
            next_step="--vs-price 0.15,0.60 (for a million tokens read, and written)",
        ) from None
    return Tariff(read, written)
