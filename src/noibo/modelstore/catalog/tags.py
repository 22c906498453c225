"""Tags: which size and quantisation of a family one means, and every way to write it.

A tag is `[SIZE][-VARIANT][-QUANTISATION]`, each part optional: `8b`, `q8`, `8b-instruct`,
`8b-instruct-q4_K_M`, `instruct-q4_0`. VARIANT are words that change nothing here, because the
plain size is that variant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from noibo.errors import BadReference
from noibo.modelstore.catalog import quantisation as q
from noibo.modelstore.catalog.entry import CheckpointPlace, Family, HubPlace, Model, Size
from noibo.modelstore.reference import DEFAULT_TAG, Reference

_SIZE: Final = re.compile(r"[ae]?(?:\d+x)?\d+(?:\.\d+)?[bm](?:-|$)")


def canonical(family: Family, size: Size, quantisation: str) -> Reference:
    """The one name under which the store keeps it."""
    if quantisation == size.default:
        return Reference(family.name, size.tag)
    return Reference(family.name, f"{size.tag}-{quantisation.lower()}")


def split(family: Family, tag: str) -> Iterator[tuple[Size, str]]:
    """Each size that `tag` can begin with and what is left of it, the longest beginning first;
    last, the whole tag as said of the first size."""
    found: list[tuple[int, Size, str]] = []
    for size in family.sizes:
        for start in _starts(size):
            if tag == start or tag.startswith(f"{start}-"):
                found.append((len(start), size, tag[len(start) + 1 :]))
    for _, size, rest in sorted(found, key=lambda one: -one[0]):
        yield size, without_variant(family, rest)
    yield family.sizes[0], without_variant(family, "" if tag == DEFAULT_TAG else tag)


def without_variant(family: Family, rest: str) -> str:
    """What is left of the rest of a tag without a word that changes nothing."""
    for word in family.variant:
        if rest == word or rest.startswith(f"{word}-"):
            return rest[len(word) + 1 :]
    return rest


def names_no_size(family: Family, tag: str) -> bool:
    """True if `tag` begins as a size is written, with one that the family has not."""
    known = any(tag.startswith(start) for size in family.sizes for start in _starts(size))
    return not known and _SIZE.match(tag) is not None


def names(family: Family) -> tuple[str, ...]:
    """What the family itself is called, its own name first."""
    return (family.name, *(alias for alias in family.aliases if "/" not in alias))


def upstream(model: Model) -> Iterator[tuple[str, str]]:
    """Namespace and name of each repository that holds this size, and of aliases written so."""
    size, written = model.size, model.family.aliases
    repos: list[str] = []
    if size is not None:
        written = size.aliases
        hubs = (place for place in size.places if isinstance(place, CheckpointPlace | HubPlace))
        repos = [place.repo for place in hubs]
    for repo in (*(alias for alias in written if "/" in alias), *repos):
        try:
            read = Reference.parse(repo)
        except BadReference:
            continue  # no name can be made of it: only hf.co/ORG/REPO reaches it
        yield read.namespace, read.name


def every_name(
    family: Family, size: Size, quantisation: str, here: Sequence[str]
) -> Iterator[Reference]:
    """Every name that means `size` in `quantisation`, where `here` are all it can be had in."""
    ends = [
        *([""] if quantisation == size.default else []),
        *_quantisation_words(quantisation, here),
    ]
    starts = (*_starts(size), *([""] if size is family.sizes[0] else []))
    for name in names(family):
        for start in starts:
            for variant in ("", *family.variant):
                for end in ends:
                    tag = "-".join(part for part in (start, variant, end) if part)
                    yield Reference(name, tag or DEFAULT_TAG)
    for namespace, name in upstream(Model(family, size)):
        for end in ends:
            yield Reference(name, end or DEFAULT_TAG, namespace)


def _quantisation_words(quantisation: str, here: Sequence[str]) -> Iterator[str]:
    for word in (*q.words(quantisation), *q.WIDTH_WORDS):
        means = next((name for name in q.parse(word) if name in here), None)
        if means == quantisation:
            yield word


def _starts(size: Size) -> tuple[str, ...]:
    return (size.tag, *(alias for alias in size.aliases if "/" not in alias))
