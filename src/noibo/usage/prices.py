"""What models elsewhere cost: a dated table, in which a model that is not in it has no price.

Prices are shipped with noibo, replaced by a file of the user's (`noibo usage prices --file`) and
overridden by `[prices."NAME"]` in noibo.toml; they are never fetched. A name is
PROVIDER:MODEL, HOST:MODEL or MODEL; the same model costs different sums at different providers, so
a price of the shipped table holds only at the addresses of its provider.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from noibo.errors import SettingsError, UsageError
from noibo.usage.money import decimal

FILE_NAME: Final = "prices.toml"  # the user's own table, in NOIBO_HOME
_RATES: Final = ("input", "cached_input", "cache_write", "output", "reasoning")
_AMOUNTS: Final = (*_RATES, "image", "request")
_WORDS: Final = ("as_of", "source")
_LONG: Final = "long_"  # in front of a rate: for prompts of more than `long_above` tokens


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars for a million tokens of each kind. None: as `input`, or `output`; of those two:
    unknown."""

    input: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs: `usual` rates, those of prompts over `long_above` tokens, dollars for
    an image and for a call. `as_of` is the day on which that was so, `source` by whose word."""

    name: str
    usual: Rates
    long_above: int = 0
    long: Rates | None = None
    image: Decimal | None = None
    request: Decimal = Decimal(0)
    as_of: str = ""
    source: str = ""

    def rates(self, prompt_tokens: int) -> Rates:
        """Those that a call with such a prompt is charged by."""
        if self.long is not None and prompt_tokens > self.long_above:
            return self.long
        return self.usual

    @property
    def free(self) -> bool:
        """True if nothing is charged, which somebody has said."""
        said = (self.usual.input, self.usual.output, self.image or Decimal(0), self.request)
        return self.long is None and all(one == 0 for one in said)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by name. `providers` says at which hosts each provider is; `own` are the user's."""

    as_of: str
    source: str
    prices: Mapping[str, Price]
    providers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: Mapping[str, Price] = field(default_factory=dict)

    def find(self, model: str, destination: str = "") -> Price | None:
        """The price of a model at an address; None: unknown. Names are as the provider has them."""
        host = _host(destination)
        at = [f"{name}:{model}" for name, hosts in self.providers.items() if _is_of(host, hosts)]
        for name in (*at, f"{host}:{model}", model) if host else (model,):
            if name in self.own:
                return self.own[name]
        return next((self.prices[name] for name in at if name in self.prices), None)

    def named(self, name: str) -> Price | None:
        """The price that a person names, with or without its provider; the first of several."""
        for table in (self.own, self.prices):
            if name in table:
                return table[name]
            for key, price in table.items():
                if key.partition(":")[2] == name and key.partition(":")[0] in self.providers:
                    return price
        return None

    def with_own(self, own: Mapping[str, Price]) -> PriceTable:
        """With the user's own, which win."""
        return replace(self, own={**self.own, **own})

    def __iter__(self) -> Iterator[Price]:
        yield from {**self.prices, **self.own}.values()


def shipped() -> PriceTable:
    """The table that this version of noibo came with."""
    path = resources.files("noibo.usage") / "data" / FILE_NAME
    return read_table(path.read_text(encoding="utf-8"), "the prices that came with noibo")


def price_table(home: Path, own: Mapping[str, Mapping[str, Any]]) -> PriceTable:
    """The table that holds here: the user's file, else the shipped one; with `own`, of the
    settings. Raises `SettingsError`."""
    path, known = home / FILE_NAME, shipped()
    try:
        table = read_table(path.read_text(encoding="utf-8"), str(path))
        table = replace(table, providers={**known.providers, **table.providers})
    except FileNotFoundError:
        table = known
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}.") from exc
    return table.with_own(
        {name: price_of(name, said, f'[prices."{name}"]') for name, said in own.items()}
    )


def read_table(text: str, where: str) -> PriceTable:
    """A table as TOML. Raises `SettingsError` for one that is not whole."""
    try:
        said = tomllib.loads(text, parse_float=Decimal)
        tables, providers = said["prices"], said.get("providers", {})
        as_of = _day(said["as_of"], where)
        hosts = {name: _hosts(some) for name, some in providers.items()}
        prices = {
            name: price_of(name, {"as_of": as_of, **row}, where) for name, row in tables.items()
        }
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise SettingsError(f"{where} is not TOML: {exc}.") from exc
    except (KeyError, AttributeError, TypeError) as exc:
        raise SettingsError(
            f"{where} is no table of prices ({exc}).",
            next_step='It has as_of = 2026-11-23, and [prices."openai:gpt-4o-mini"] with input, '
            "output … below.",
        ) from exc
    return PriceTable(as_of, str(said.get("source", "")), prices, hosts)


def price_of(name: str, said: Mapping[str, Any], where: str) -> Price:
    """One row. Raises `SettingsError` for a key that is not known, or an amount that is none."""
    allowed = {*_AMOUNTS, *_WORDS, "long_above", *(_LONG + rate for rate in _RATES)}
    if unknown := sorted(said.keys() - allowed):
        raise SettingsError(
            f"{where}: {name!r} has {unknown[0]!r}, which no price has.",
            next_step=f"A price has {', '.join(_AMOUNTS)}.",
        )
    try:
        amounts = {key: decimal(said[key], key) for key in _AMOUNTS if said.get(key) is not None}
        long = {
            key: decimal(said[_LONG + key], _LONG + key)
            for key in _RATES
            if said.get(_LONG + key) is not None
        }
        usual = Rates(**{key: amounts[key] for key in _RATES if key in amounts})
        return Price(
            name=name,
            usual=usual,
            long_above=int(decimal(said.get("long_above") or 0, "long_above")),
            long=replace(usual, **long) if long else None,
            image=amounts.get("image"),
            request=amounts.get("request", Decimal(0)),
            as_of=_day(said.get("as_of", ""), where),
            source=str(said.get("source", "")),
        )
    except (UsageError, ValueError) as exc:
        raise SettingsError(f"{where}, price of {name!r}: {exc}") from exc


def written(table: PriceTable) -> str:
    """A table as TOML, which `read_table` reads."""
    from json import dumps  # a string of JSON is one of TOML

    lines = [f"as_of = {table.as_of}", f"source = {dumps(table.source)}", "", "[providers]"]
    for name, hosts in table.providers.items():
        lines.append(f"{name} = [{', '.join(map(dumps, hosts))}]")
    for price in table.prices.values():
        lines += ["", f"[prices.{dumps(price.name)}]"]
        lines += [f"{key} = {value}" for key, value in _amounts(price)]
        if price.as_of != table.as_of:
            lines.append(f"as_of = {price.as_of}")
        if price.source:
            lines.append(f"source = {dumps(price.source)}")
    return "\n".join(lines) + "\n"


def _amounts(price: Price) -> Iterator[tuple[str, str]]:
    found: dict[str, Decimal | None] = {key: getattr(price.usual, key) for key in _RATES}
    found |= {"image": price.image, "request": price.request or None}
    yield from ((key, f"{value:f}") for key, value in found.items() if value is not None)
    if price.long is not None:
        yield "long_above", str(price.long_above)
        for key in _RATES:
            if (value := getattr(price.long, key)) is not None:
                yield _LONG + key, f"{value:f}"


def _hosts(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise TypeError(f"the hosts of a provider are a list, as [{str(said)[:40]!r}]")
    return tuple(said)


def _day(said: Any, where: str) -> str:
    text = str(said)
    try:
        return text and datetime.date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise SettingsError(f"{where}: as_of = {text[:40]!r} is no day.") from exc


def _host(destination: str) -> str:
    if "//" not in destination:
        destination = f"//{destination}"
    try:
        return (urlsplit(destination).hostname or "").lower()
    except ValueError:
        return ""


def _is_of(host: str, hosts: tuple[str, ...]) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in hosts)
