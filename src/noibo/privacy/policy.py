"""The house's rules: what each label may do, and which label what is found in a text raises it to.

A policy is a value, made of `[privacy]` in noibo.toml. What it does not know stays: a label without
a rule, a label that is not on the scale.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from noibo.errors import SettingsError
from noibo.privacy.sensitivity import INTERNAL, PERSONAL, SECRET, UNKNOWN, Rule, Scale
from noibo.settings import Privacy

RULES: Final = {str(rule): rule for rule in Rule}
# What lets its finder act in somebody's name, and is worthless once it was seen elsewhere.
KEYS: Final = ("API_KEY", "PRIVATE_KEY")
_USUAL: Final = {"public": "leave", "internal": "leave", "personal": "redact", "secret": "stay"}


@dataclass(frozen=True, slots=True)
class Policy:
    """`types`: the label that a text with such a finding has at least; `other_types`: of all that
    are not named there. `unscanned`: of what cannot be looked into (pictures, sound, PDF)."""

    scale: Scale = Scale()
    rules: Mapping[str, Rule] = field(
        default_factory=lambda: {name: RULES[rule] for name, rule in _USUAL.items()}
    )
    default_label: str = INTERNAL
    types: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KEYS, SECRET))
    other_types: str = PERSONAL
    unscanned: str = PERSONAL
    detects: bool = True
    detect_s: float = 10.0
    instructs: bool = True

    @classmethod
    def of(cls, said: Privacy) -> Policy:
        """As the settings have it. Raises `SettingsError` for what contradicts itself."""
        scale = Scale(_labels(said.labels))
        types = {**dict.fromkeys(KEYS, scale.top), **said.types}
        named = {
            "default_label": said.default_label,
            "other_types": said.other_types,
            "unscanned": said.unscanned,
            **{f"types.{name}": label for name, label in types.items()},
        }
        for key, label in named.items():
            _require_label(f"privacy.{key}", label, scale)
        return cls(
            scale=scale,
            rules=_rules(said.rules, scale),
            default_label=scale.known(said.default_label),
            types={name.upper(): scale.known(label) for name, label in types.items()},
            other_types=scale.known(said.other_types),
            unscanned=scale.known(said.unscanned),
            detects=said.detect,
            detect_s=said.detect_s,
            instructs=said.instruct,
        )

    def rule(self, label: str) -> Rule:
        return self.rules.get(label, Rule.STAY) if label in self.scale else Rule.STAY

    def label_of(self, kind: str) -> str:
        """The label that a finding of this kind (`CCCD`) raises a text to."""
        return self.types.get(kind, self.other_types)

    def hides(self, kind: str) -> bool:
        """A finding of this kind may not leave as it is."""
        return self.rule(self.label_of(kind)) is not Rule.LEAVE

    def highest(self, labels: Iterable[str]) -> str:
        return self.scale.highest(labels)

    @property
    def fingerprint(self) -> str:
        """Names this policy in the ledger: another one has another."""
        return _fingerprint(msgspec.json.encode(_told(self), order="sorted"))


@functools.lru_cache(maxsize=8)
def _fingerprint(told: bytes) -> str:
    return hashlib.sha256(told).hexdigest()[:12]


def _told(policy: Policy) -> dict[str, object]:
    """What decides, and nothing else."""
    return {
        "labels": policy.scale.labels,
        "rules": {label: str(policy.rule(label)) for label in policy.scale.labels},
        "default_label": policy.default_label,
        "types": dict(policy.types),
        "other_types": policy.other_types,
        "unscanned": policy.unscanned,
        "detects": policy.detects,
    }


def _labels(said: tuple[str, ...]) -> tuple[str, ...]:
    folded = [label.casefold() for label in said]
    if not said or len(set(folded)) != len(said) or UNKNOWN in folded:
        raise SettingsError(
            f"privacy.labels = {list(said)} is no scale: each label once, and none is {UNKNOWN!r}, "
            "which is what noibo calls a text that it cannot judge.",
            next_step='Write labels = ["public", "internal", "personal", "secret"], say.',
        )
    for label in said:
        if not (label.isascii() and label.replace("-", "").replace("_", "").isalnum()):
            raise SettingsError(
                f"privacy.labels: {label!r} cannot stand in a header.",
                next_step="Use letters without accents, digits, - and _.",
            )
    return tuple(said)


def _rules(said: Mapping[str, str], scale: Scale) -> dict[str, Rule]:
    """Raises `SettingsError` where a higher label may do more than a lower one: then joining two
    texts would let out what neither of them may."""
    usual = {label: rule for label, rule in _USUAL.items() if label in scale}
    rules: dict[str, Rule] = {}
    for label, rule in {**usual, **said}.items():
        _require_label("privacy.rules", label, scale)
        if rule not in RULES:
            raise SettingsError(
                f"privacy.rules: {label} = {rule!r} is no rule.",
                next_step=f"Rules are {', '.join(RULES)}.",
            )
        rules[scale.known(label)] = RULES[rule]
    whole = {label: rules.get(label, Rule.STAY) for label in scale.labels}
    for lower, higher in zip(scale.labels, scale.labels[1:], strict=False):
        if whole[higher] < whole[lower]:
            raise SettingsError(
                f"privacy.rules: {higher} may {whole[higher]}, and {lower}, which is below it, may "
                f"only {whole[lower]}.",
                next_step=f"Give {higher} the rule {whole[lower]} or a stricter one, or write "
                "privacy.labels in rising order.",
            )
    return whole


def _require_label(key: str, label: str, scale: Scale) -> None:
    if scale.known(label) == UNKNOWN:
        raise SettingsError(
            f"{key} names {label!r}, which is not one of privacy.labels.",
            next_step=f"Labels are {', '.join(scale.labels)}.",
        )
