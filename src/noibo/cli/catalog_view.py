"""The tables of `noibo catalog` and `noibo search`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore.catalog import licences
from noibo.modelstore.printable import shown
from noibo.wire.catalog import CatalogRow, HubRow, SearchRow


class Language(StrEnum):
    """The language of what the table says of a model."""

    en = "en"
    vi = "vi"


def print_families(models: Sequence[CatalogRow], lang: Language) -> None:
    """One line for each family: what runs here first, then what searches, then what is hosted."""
    groups = sorted(_by_family(models), key=_place)
    print_table(_columns("SIZES", lang), [_row(group, lang) for group in groups])
    print(
        "\n~GB: about what the weights take in the default quantisation, smallest to largest size; "
        "a\ncontext takes more. LICENCE*: differs between sizes. LANG: as its maker names them.\n"
        "All sizes of one: noibo catalog FAMILY. Fetch one: noibo pull MODEL:SIZE."
    )


def print_sizes(models: Sequence[CatalogRow], lang: Language) -> None:
    """One line for each size, what the family is good at, and what its licences mean."""
    rows = [(model.name, _parameters(model), *_row([model], lang)[2:]) for model in models]
    print_table(_columns("PARAMETERS", lang), rows)
    told: dict[str, None] = {}
    for model in models:
        licence = licences.classify(model.licence)
        told[f"{model.title}, {model.maker}: {model.strengths[lang]}"] = None
        if model.note:
            told[model.note[lang]] = None
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


def _by_family(models: Sequence[CatalogRow]) -> list[list[CatalogRow]]:
    families: dict[str, list[CatalogRow]] = {}
    for model in models:
        families.setdefault(model.family, []).append(model)
    return list(families.values())


def _place(group: Sequence[CatalogRow]) -> tuple[bool, bool, str]:
    first = group[0]
    return (first.api_only, "embedding" in first.abilities, first.family)


def _row(models: Sequence[CatalogRow], lang: Language) -> tuple[str, ...]:
    first = models[0]
    kinds = dict.fromkeys(model.licence_kind for model in models)
    return (
        first.family,
        ", ".join(_plain_sizes(models)) or "API only",
        next(iter(kinds)) + ("*" if len(kinds) > 1 else ""),
        _languages(first),
        _context(max(model.context_length or 0 for model in models)),
        _memory(models),
        first.best_for[lang],
    )


def _plain_sizes(models: Sequence[CatalogRow]) -> list[str]:
    """Tags from small to large, without those that are another size's variant."""
    sized = [model for model in models if model.parameters is not None]
    tags = [_tag(model) for model in sorted(sized, key=lambda model: model.parameters or 0)]
    return [tag for tag in tags if not any(tag.startswith(f"{other}-") for other in tags)]


def _tag(model: CatalogRow) -> str:
    return model.name.partition(":")[2]


def print_hits(found: SearchRow, lang: Language) -> None:
    """What a search found: families of the catalogue, then repositories of the hub."""
    if found.catalogue:
        print("In the catalogue:")
        columns = (
            Column("MODEL", most=20),
            Column("SIZES", most=20),
            Column("LICENCE"),
            Column("GOOD AT"),
        )
        print_table(columns, [_hit_row(group, lang) for group in _by_family(found.catalogue)])
    if found.hub:
        print("\nOn the hub:" if found.catalogue else "On the hub:")
        columns = (
            Column("REPOSITORY"),
            Column("FORMAT"),
            Column("LICENCE"),
            Column("FETCHED", right=True),
        )
        print_table(columns, [_hub_row(one) for one in found.hub])


def _hit_row(models: Sequence[CatalogRow], lang: Language) -> tuple[str, ...]:
    tags, first = ", ".join(_plain_sizes(models)) or "API only", models[0]
    return (first.family, tags, first.licence_kind, first.strengths[lang])


def _hub_row(hit: HubRow) -> tuple[str, ...]:
    gate = ", sign-in" if hit.gated else ""
    formats = ", ".join(hit.formats)
    return (shown(hit.name), formats, hit.licence_kind + gate, f"{hit.downloads:,}")


def _languages(model: CatalogRow) -> str:
    """`en, vi`; `12 + vi` where there are many; `many` where they are not listed."""
    tags = model.languages
    listed = [tag for tag in tags if tag != "mul"]
    if tags[:1] == ["mul"]:
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


def _memory(models: Sequence[CatalogRow]) -> str:
    sizes = sorted(model.memory_about_bytes for model in models if model.memory_about_bytes)
    ends = dict.fromkeys(_gigabytes(size) for size in (*sizes[:1], *sizes[-1:]))
    return "–".join(ends) or "-"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 1e9 else f"{size / 1e9:.3g}"


def _parameters(model: CatalogRow) -> str:
    if model.parameters is None:
        return "API only"
    count = model.parameters
    text = f"{count / 1e9:.3g}B" if count >= 999_500_000 else f"{count / 1e6:.0f}M"
    active = model.active_parameters
    return f"{text} ({active / 1e9:.2g}B active)" if active else text
