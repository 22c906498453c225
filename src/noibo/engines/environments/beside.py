"""An index that is asked besides the user's own: whether anybody answers there.

pip asks every index for every package, and one that nobody answers five times for each: that made
vLLM's 151 packages take twenty minutes instead of three.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unearth.collector import LinkCollectError

from noibo.egress import Door
from noibo.engines.environments.recipe import Recipe
from noibo.errors import FetchError
from noibo.modelstore.index.index_session import IndexSession
from noibo.modelstore.index.pip_settings import PipSettings

BESIDE: Final = "--extra-index-url"
PATIENCE_S: Final = 20.0


def without_silent(recipe: Recipe, door: Door, pip: PipSettings) -> tuple[Recipe, str]:
    """The recipe without the index that it adds, where that does not answer, and which one that
    is; the same recipe and nothing where it does, or where there is none."""
    if BESIDE not in recipe.options:
        return recipe, ""
    at = recipe.options.index(BESIDE)
    index = recipe.options[at + 1]
    if _answers(door, pip, index, "torch"):
        return recipe, ""
    return replace(recipe, options=recipe.options[:at] + recipe.options[at + 2 :]), index


def _answers(door: Door, pip: PipSettings, index: str, package: str) -> bool:
    once = replace(pip, retries=0, timeout_s=min(pip.timeout_s or PATIENCE_S, PATIENCE_S))
    session = IndexSession(door, once, [index])
    session.page_s = PATIENCE_S
    try:
        return session.get(f"{index}/{package}/").status_code == 200
    except (FetchError, LinkCollectError):
        return False
    finally:
        session.close()
