"""The shapes of `/noibo/v1/catalog` and `/search`: what there is to fetch."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Use: TypeAlias = Literal["chat", "code", "vietnamese", "vision", "embedding"]
Said: TypeAlias = dict[str, str]  # by language: en, vi


class CatalogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the catalogue. `memory_about_bytes`: what the weights of the default
    quantisation take; `note`: what one should know of the family before choosing it."""

    name: str
    family: str
    title: str
    maker: str
    released: str
    api_only: bool
    parameters: int | None
    active_parameters: int | None
    context_length: int | None
    languages: list[str]
    abilities: list[str]
    licence: str | None
    licence_kind: str
    licence_means: Said
    quantisations: list[str]
    memory_about_bytes: int | None
    strengths: Said
    best_for: Said
    note: Said | None = None


class HubRow(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of the hub. `updated` is an ISO 8601 moment."""

    name: str
    downloads: int
    likes: int
    licence: str | None
    licence_kind: str
    gated: bool
    updated: str | None
    formats: list[str]


class SearchRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, best first. `hub_problem`: why the hub could not be asked."""

    catalogue: list[CatalogRow]
    hub: list[HubRow]
    hub_problem: str | None = None
