"""What was learnt: a weight for each feature and for each hashed word, shipped with the package.

Two linear models over one set of features, each giving log-odds: that the local model's answer is
right, and that a large model's is. `p_local` is made of both: of two prompts that the local model
is as likely to fail on, the one where a large model would not is put lower, as far as the form of
the prompt has shown that to be worth it.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from noibo.routing.features import BUCKETS, NAMES, Features
from noibo.routing.forms import Form

Floats = np.ndarray[Any, np.dtype[np.float64]]
SHIPPED: Final = Path(__file__).parent / "weights" / "router.npz"
FORMS: Final[tuple[Form, ...]] = ("choice", "problem", "code", "open")
# Words were learnt on exam questions: elsewhere they say little.
WORDS_WEIGH: Final = {"choice": 1.0, "problem": 1.0, "code": 0.2, "open": 0.2}
WORDS: Final = "words"


class BrokenWeights(Exception):
    """The file of weights is missing, or is not what this version reads. Never leaves routing."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """`scale`: for each form how much `local` and `large` count, and an offset."""

    local: Floats
    large: Floats
    words_local: Floats
    words_large: Floats
    rarity: Floats
    scale: Floats
    about: str = ""

    def parts(self, features: Features) -> dict[str, float]:
        """What each feature adds to the log-odds of `p_local`; they sum to it."""
        of_local, of_large, offset = self.scale[FORMS.index(features.form)].tolist()
        weights = of_local * self.local + of_large * self.large
        parts = {
            name: float(weights[_PLACE[name]] * value) for name, value in features.values.items()
        }
        parts["constant"] = float(weights[-1] + offset)
        buckets, values = words_of(features, self.rarity)
        words = of_local * self.words_local[buckets] + of_large * self.words_large[buckets]
        parts[WORDS] = float(values @ words)
        return parts

    def large_odds(self, features: Features) -> float:
        """Log-odds that a large model's answer is right."""
        buckets, values = words_of(features, self.rarity)
        named = sum(self.large[_PLACE[name]] * value for name, value in features.values.items())
        return float(named + self.large[-1] + values @ self.words_large[buckets])

    def save(self, path: Path) -> None:
        """The same bytes for the same weights. Words are kept in half precision."""
        half: dict[str, Any] = {
            "words_local": self.words_local.astype(np.float16),
            "words_large": self.words_large.astype(np.float16),
            "rarity": self.rarity.astype(np.float16),
        }
        named: dict[str, Any] = {
            name: getattr(self, name).round(6) for name in ("local", "large", "scale")
        }
        arrays: dict[str, Any] = {"names": np.array(_NAMES), "about": np.array(self.about)}
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays, **named, **half)


_NAMES: Final = (*NAMES, "constant")
_PLACE: Final = {name: place for place, name in enumerate(NAMES)}


def words_of(features: Features, rarity: Floats) -> tuple[Any, Floats]:
    """Buckets and values of the hashed words: rare ones more, of length 1 together."""
    buckets = np.fromiter(features.buckets, dtype=np.int64, count=len(features.buckets))
    values = np.fromiter(features.buckets.values(), dtype=np.float64, count=len(buckets))
    values = values * rarity[buckets]
    length = math.sqrt(float(values @ values))
    return buckets, values * (WORDS_WEIGH[features.form] / length if length else 0.0)


def load(path: Path = SHIPPED) -> Learnt:
    """Raises `BrokenWeights`, which says what is wrong with the file."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise BrokenWeights(f"{path.name} is missing") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise BrokenWeights(f"{path.name} cannot be read: {error}") from None
    return _checked(found, path)


def _checked(found: dict[str, Any], path: Path) -> Learnt:
    wanted = {
        "local": (len(NAMES) + 1,),
        "large": (len(NAMES) + 1,),
        "words_local": (BUCKETS,),
        "words_large": (BUCKETS,),
        "rarity": (BUCKETS,),
        "scale": (len(FORMS), 3),
    }
    if tuple(found.get("names", ())) != _NAMES:
        raise BrokenWeights(f"{path.name} has weights of other features than this version has")
    for name, shape in wanted.items():
        array = found.get(name)
        if array is None or array.shape != shape or not np.isfinite(array.astype(float)).all():
            raise BrokenWeights(f"{path.name}: {name} is not what it should be")
    arrays = {name: found[name].astype(np.float64) for name in wanted}
    return Learnt(**arrays, about=str(found.get("about", "")))


@lru_cache(maxsize=1)
def shipped() -> Learnt:
    """The weights of the package, read once."""
    return load()


def told(learnt: Learnt) -> dict[str, Any]:
    """What the file says of its own making."""
    found: dict[str, Any] = json.loads(learnt.about) if learnt.about else {}
    return found
