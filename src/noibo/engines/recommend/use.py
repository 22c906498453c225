"""What a model is wanted for, and whether one of the catalogue suits that."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from noibo.modelstore.catalog.entry import Ability, Model

Use = Literal["chat", "code", "vietnamese", "rag", "vision", "embedding"]
USES: Final[tuple[Use, ...]] = get_args(Use)
# Tokens for each caller where nobody says how many: passages of documents want room.
CONTEXTS: Final[dict[Use, int]] = {"rag": 8192, "code": 8192, "embedding": 512}
USUAL_CONTEXT: Final = 4096
_NEEDS: Final[dict[Use, Ability]] = {
    "code": "code",
    "vision": "vision",
    "embedding": "embedding",
}
_CODE: Final = re.compile(r"cod(?:er|e|estral)|devstral")  # families of nothing else
_THINKS: Final = re.compile(r"think|reason|^qwq|^deepseek-r1")
MADE_FOR: Final = 0.75  # what it is worth that a model was made for the use: see `quality`


def context_for(use: Use) -> int:
    """Tokens for each caller."""
    return CONTEXTS.get(use, USUAL_CONTEXT)


def suits(model: Model, use: Use, context: int) -> bool:
    """True if it can do that, in so long a context."""
    if model.size is None or (model.context or context) < context:
        return False
    if _NEEDS.get(use, "chat") not in model.abilities:
        return False
    return use != "vietnamese" or speaks_vietnamese(model)


def speaks_vietnamese(model: Model) -> bool:
    """True if its maker names Vietnamese."""
    return "vi" in model.languages


def is_vietnamese(model: Model) -> bool:
    """True if it was made for Vietnamese, or for the languages around it."""
    neighbours = {"id", "th"} <= set(model.languages[:6])
    return model.languages[:1] == ("vi",) or (speaks_vietnamese(model) and neighbours)


def made_for(model: Model, use: Use) -> float:
    """What the use adds to a model's quality, or takes from it."""
    own = MADE_FOR if use == "code" else -MADE_FOR
    extra = own if _is_for_code(model) and use != "embedding" else 0.0
    if use == "vietnamese":
        extra += MADE_FOR if is_vietnamese(model) else 0.0
    elif use in {"rag", "embedding"}:  # documents here are in Vietnamese as often as not
        extra += MADE_FOR if speaks_vietnamese(model) else 0.0
    return extra


def always_thinks(model: Model) -> bool:
    """True if it writes down its thoughts before every answer: several times the words."""
    return bool(_THINKS.search(model.name))


def _is_for_code(model: Model) -> bool:
    return bool(_CODE.search(model.family.name))
