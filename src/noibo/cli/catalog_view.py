"""The tables of `noibo catalog` and `noibo search`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore import licences
from noibo.modelstore.catalog import Hit, Model
from noibo.modelstore.printable import shown

if TYPE_CHECKING:
    from noibo.modelstore.sources.hub import HubHit


class Language(StrEnum):
    """The language of what the table says of a model."""

    en = "en"
    vi = "vi"


def print_families(models: Sequence[Model], lang: Language) -> None:
    """One line for each family: what runs here first, then what searches, then what is hosted."""
    families: dict[str, list[Model]] = {}
    for model in models:
        families.setdefault(model.family.name, []).append(model)
    groups = sorted(families.values(), key=_place)
    print_table(_columns("SIZES", lang), [_row(group, lang) for group in groups])
    print(
        "\n~GB: about what the weights take in the default quantisation, smallest to largest size; "
        "a\ncontext takes more. LICENCE*: differs between sizes. LANG: as its maker names them.\n"
        "All sizes of one: noibo catalog FAMILY. Fetch one: noibo pull MODEL:SIZE."
    )


def print_sizes(models: Sequence[Model], lang: Language) -> None:
    """One line for each size, what the family is good at, and what its licences mean."""
    rows = [(model.name, _parameters(model), *_row([model], lang)[2:]) for model in models]
    print_table(_columns("PARAMETERS", lang), rows)
    told: dict[str, None] = {}
    for model in models:
        family, licence = model.family, licences.classify(model.licence)
        told[f"{family.title}, {family.maker}: {family.strengths.in_language(lang.value)}"] = None
        if family.note:
            told[family.note.in_language(lang.value)] = None
        told[f"Licence {licence.name}: {licence.means[lang.value]}"] = None
    print()
    for line in told:
        print_paragraph(line)


def _columns(second: str, lang: Language) -> tuple[Column, ...]:
    return (
        Column("MODEL", most=20),
        Column(second, most=16),
        Column("LICENCE", most=11),
        Column("LANG", most=8),
        Column("CONTEXT", right=True),
        Column("~GB", right=True),
        Column("BEST FOR" if lang is Language.en else "HỢP NHẤT CHO"),
    )


def _place(group: Sequence[Model]) -> tuple[bool, bool, str]:
    family = group[0].family
    return (family.api_only, "embedding" in family.abilities, family.name)


def _row(models: Sequence[Model], lang: Language) -> tuple[str, ...]:
    first = models[0]
    kinds = dict.fromkeys(licences.classify(model.licence).kind for model in models)
    return (
        first.family.name,
        ", ".join(_plain_sizes(models)) or "API only",
        next(iter(kinds)) + ("*" if len(kinds) > 1 else ""),
        _languages(first),
        _context(max(model.context or 0 for model in models)),
        _memory(models),
        first.best_for.in_language(lang.value),
    )


def _plain_sizes(models: Sequence[Model]) -> list[str]:
    """Tags from small to large, without those that are another size's variant."""
    sizes = sorted((model.size for model in models if model.size), key=lambda s: s.parameters)
    tags = [size.tag for size in sizes]
    return [tag for tag in tags if not any(tag.startswith(f"{other}-") for other in tags)]


def print_hits(hits: Sequence[Hit], found: Sequence[HubHit], lang: Language) -> None:
    if hits:
        print("In the catalogue:")
        columns = (
            Column("MODEL", most=20),
            Column("SIZES", most=20),
            Column("LICENCE"),
            Column("GOOD AT"),
        )
        print_table(columns, [_hit_row(hit, lang) for hit in hits])
    if found:
        print("\nOn the hub:" if hits else "On the hub:")
        columns = (
            Column("REPOSITORY"),
            Column("FORMAT"),
            Column("LICENCE"),
            Column("FETCHED", right=True),
        )
        print_table(columns, [_hub_row(one) for one in found])


def _hit_row(hit: Hit, lang: Language) -> tuple[str, ...]:
    tags = ", ".join(_plain_sizes(hit.models)) or "API only"
    kind = licences.classify(hit.models[0].licence).kind
    return (hit.family.name, tags, kind, hit.family.strengths.in_language(lang.value))


def _hub_row(hit: HubHit) -> tuple[str, ...]:
    kind = licences.classify(hit.licence).kind
    gate = ", sign-in" if hit.gated else ""
    return (f"hf.co/{shown(hit.repo)}", ", ".join(hit.formats), kind + gate, f"{hit.downloads:,}")


def _languages(model: Model) -> str:
    """`en, vi`; `12 + vi` where there are many; `many` where they are not listed."""
    tags = model.languages
    listed = [tag for tag in tags if tag != "mul"]
    if tags[:1] == ("mul",):
        return "many, vi" if "vi" in tags else "many"
    if len(listed) <= 3:
        return ", ".join(listed)
    return f"{len(listed)}, vi" if "vi" in tags else str(len(listed))


def _context(tokens: int) -> str:
    if not tokens:
        return "?"
    if tokens < 1000:
        return str(tokens)
    unit = 1000 if tokens % 1000 == 0 else 1024
    if tokens >= unit**2:
        return f"{tokens / unit**2:.3g}M"
    return f"{round(tokens / unit)}K"


def _memory(models: Sequence[Model]) -> str:
    sizes = sorted(model.memory for model in models if model.memory)
    ends = dict.fromkeys(_gigabytes(size) for size in (*sizes[:1], *sizes[-1:]))
    return "–".join(ends) or "-"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 1e9 else f"{size / 1e9:.3g}"


def _parameters(model: Model) -> str:
    if model.size is None:
        return "API only"
    count = model.size.parameters
    text = f"{count / 1e9:.3g}B" if count >= 999_500_000 else f"{count / 1e6:.0f}M"
    active = model.size.active
    return f"{text} ({active / 1e9:.2g}B active)" if active else text
