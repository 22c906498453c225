"""Tables of prices that others keep, read as ours: LiteLLM's, which is the one that most know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from noibo.errors import SettingsError
from noibo.usage.prices import PriceTable, price_of, read_table, shipped

_MILLION: Final = 1_000_000
# LiteLLM's names: of providers that are called otherwise here, and of what is priced.
_PROVIDERS: Final = {"together_ai": "together"}
_RATES: Final = {
    "input": "input_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
}
_LONG: Final = (128, 200, 256, 272)  # thousands of tokens, above which some charge more


def read_file(path: Path, as_of: str) -> PriceTable:
    """A table of ours (TOML) or of LiteLLM's (JSON), which has no day: `as_of` is its. Raises
    `SettingsError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}.") from exc
    if not text.lstrip().startswith("{"):
        return _of_ours(read_table(text, str(path)), path)
    try:
        said = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{path} is not JSON: {exc}.") from exc
    return _of_litellm(said, as_of, str(path))


def _of_ours(table: PriceTable, path: Path) -> PriceTable:
    """With the providers that noibo knows. A price of no provider would hold nowhere."""
    table = replace(table, providers={**shipped().providers, **table.providers})
    for name in table.prices:
        if name.partition(":")[0] not in table.providers or ":" not in name:
            raise SettingsError(
                f"{path}: {name!r} is a price of no provider.",
                next_step="Write it as openai:gpt-4o-mini, with its provider from [providers]; or "
                f'into noibo.toml, as [prices."{name}"].',
            )
    return replace(table, source=table.source or path.name)


def _of_litellm(said: Mapping[str, Any], as_of: str, where: str) -> PriceTable:
    hosts = shipped().providers
    prices = {}
    for key, row in said.items():
        if not isinstance(row, Mapping):
            continue
        theirs = str(row.get("litellm_provider", ""))
        provider = _PROVIDERS.get(theirs, theirs)
        amounts = dict(_amounts(row))
        if provider in hosts and amounts:
            name = f"{provider}:{key.removeprefix(f'{theirs}/')}"
            prices[name] = price_of(name, {**amounts, "as_of": as_of}, where)
    if not prices:
        raise SettingsError(
            f"{where} has no price of a provider that noibo knows.",
            next_step="It is a table as noibo's own (prices.toml), or LiteLLM's "
            "model_prices_and_context_window.json.",
        )
    return PriceTable(as_of, f"LiteLLM's price list, {Path(where).name}", prices, hosts)


def _amounts(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, theirs in _RATES.items():
        if (rate := _number(row.get(theirs))) is not None and not (
            name == "cache_write" and not rate
        ):
            yield name, rate * _MILLION
    if (image := _number(row.get("output_cost_per_image"))) is not None:
        yield "image", image
    for thousands in _LONG:
        above = {
            name: rate
            for name, theirs in _RATES.items()
            if (rate := _number(row.get(f"{theirs}_above_{thousands}k_tokens"))) is not None
        }
        if "input" in above:
            yield "long_above", thousands * 1000
            yield from ((f"long_{name}", rate * _MILLION) for name, rate in above.items())
            return


def _number(said: Any) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, int | Decimal):
        return None
    return Decimal(said)
