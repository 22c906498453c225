"""Finds models of the catalogue by what people call what they want, in English or Vietnamese.

Every word must fit: a name, a maker, or a wish (`code`, `tiếng Việt`, `small`, `thương mại`).
Marks on letters do not matter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from noibo.modelstore.catalog import licences
from noibo.modelstore.catalog.entry import Ability, Family, Model

SMALL: Final = 4_500_000_000  # parameters that a laptop without a GPU is quick with
LARGE: Final = 40_000_000_000
Wish: TypeAlias = Callable[[Model], int]  # 0: no, 1: yes, 2: it is made for that

# Fillers of both languages: a search with them means the same without.
_FILLERS: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "for",
        "in",
        "model",
        "models",
        "of",
        "or",
        "the",
        "to",
        "use",
        "with",
        "cho",
        "co",
        "cua",
        "dung",
        "mo",
        "hinh",
        "va",
        "ve",
        "de",
        "tieng",
    )
)
_PHRASES: Final = {
    "function calling": "tools",
    "goi ham": "tools",
    "cong cu": "tools",
    "hinh anh": "vision",
    "thi giac": "vision",
    "lap trinh": "code",
    "ma nguon": "code",
    "viet ma": "code",
    "suy luan": "thinking",
    "suy nghi": "thinking",
    "tieng viet": "vietnamese",
    "viet nam": "vietnamese",
    "tieng anh": "english",
    "tieng nhat": "japanese",
    "tieng han": "korean",
    "tieng phap": "french",
    "tieng trung": "chinese",
    "tieng duc": "german",
    "tieng nga": "russian",
    "tieng thai": "thai",
    "tro chuyen": "chat",
    "hoi dap": "chat",
    "nhung van ban": "embedding",
    "tim kiem": "embedding",
    "am thanh": "audio",
    "thuong mai": "commercial",
    "kinh doanh": "commercial",
    "doanh nghiep": "commercial",
    "may yeu": "small",
    "dien thoai": "small",
    "da ngu": "multilingual",
    "da ngon ngu": "multilingual",
    "ma nguon mo": "",
    "open source": "",
}
_COMMERCIAL: Final = frozenset({"permissive", "copyleft", "rail", "gemma", "llama", "community"})
_LANGUAGES: Final = {
    "vietnamese": "vi",
    "english": "en",
    "japanese": "ja",
    "korean": "ko",
    "french": "fr",
    "chinese": "zh",
    "german": "de",
    "russian": "ru",
    "thai": "th",
    "spanish": "es",
    "indonesian": "id",
}


def _can(ability: Ability) -> Wish:
    return lambda model: ability in model.abilities


def _speaks(language: str) -> Wish:
    def score(model: Model) -> int:
        return (language in model.languages) + (language in model.languages[:1])

    return score


def _speaks_many(model: Model) -> int:
    return len(model.languages) > 2 or "mul" in model.languages


def _is_small(model: Model) -> bool:
    return model.parameters is not None and model.parameters <= SMALL


def _is_large(model: Model) -> bool:
    return model.parameters is not None and model.parameters >= LARGE


def _is_for_business(model: Model) -> bool:
    return licences.classify(model.licence).kind in _COMMERCIAL


_WISHES: Final[dict[str, Wish]] = {
    **dict.fromkeys(("chat", "assistant"), _can("chat")),
    **dict.fromkeys(("code", "coding", "coder"), _can("code")),
    **dict.fromkeys(("vision", "image", "images", "anh", "ocr"), _can("vision")),
    **dict.fromkeys(("tools", "tool", "agent", "agents"), _can("tools")),
    **dict.fromkeys(("thinking", "reasoning"), _can("thinking")),
    **dict.fromkeys(("embedding", "embeddings", "embed", "vector", "rag"), _can("embedding")),
    "audio": _can("audio"),
    **dict.fromkeys(("small", "tiny", "nho", "nhe", "laptop"), _is_small),
    **dict.fromkeys(("large", "big", "lon"), _is_large),
    **dict.fromkeys(("commercial", "business", "company"), _is_for_business),
    **dict.fromkeys(("multilingual",), _speaks_many),
    "api": lambda model: model.family.api_only,
    **{name: _speaks(tag) for name, tag in _LANGUAGES.items()},
    "viet": _speaks("vi"),
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A family that fits, and which of its sizes do. `score`: how many words hit its names."""

    family: Family
    models: tuple[Model, ...]
    score: int


def find(models: Iterator[Model], words: str) -> list[Hit]:
    """The families where every word fits; those whose name is meant first."""
    wanted = _wanted(words)
    hits: dict[str, list[tuple[Model, int]]] = {}
    for model in models:
        scores = [_score(model, word) for word in wanted]
        if wanted and all(scores):
            hits.setdefault(model.family.name, []).append((model, sum(scores)))
    found = [
        Hit(fits[0][0].family, tuple(model for model, _ in fits), max(score for _, score in fits))
        for fits in hits.values()
    ]
    return sorted(found, key=_rank)


def plain(text: str) -> str:
    """Lower case, without marks on letters: `Tiếng Việt` becomes `tieng viet`."""
    split = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def _rank(hit: Hit) -> tuple[int, bool, bool, int]:
    """Meant by name, then to be had as files, then Vietnamese, then new."""
    newest = max(int(model.released.replace("-", "")[:6]) for model in hit.models)
    return (-hit.score, hit.family.api_only, "vi" not in hit.family.languages, -newest)


def _wanted(words: str) -> list[str]:
    text = f" {' '.join(plain(words).split())} "
    for phrase in sorted(_PHRASES, key=len, reverse=True):
        text = text.replace(f" {phrase} ", f" {_PHRASES[phrase]} ")
    return [word for word in text.split() if word not in _FILLERS]


def _score(model: Model, word: str) -> int:
    """0: does not fit; 1, 2: fits a wish or what is said of it; 3: its name; 5: just its name."""
    family = model.family
    names = [plain(name) for name in (family.name, family.title, *family.aliases)]
    if word in {*names, plain(model.name)}:
        return 5
    if any(word in name for name in names) or (model.size and word == model.size.tag):
        return 3
    if (wish := _WISHES.get(word)) is not None:
        return wish(model)
    said = (family.maker, family.strengths.en, family.strengths.vi, model.best_for.en)
    about = plain(" ".join((*said, model.best_for.vi, model.licence, *model.abilities)))
    return int(any(part.startswith(word) for part in about.replace(",", " ").split()))
