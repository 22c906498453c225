"""Which models are asked for one request, in which order, why, and what may follow what.

    demand + candidates + strategy (+ what answered the turn before)  →  Plan

Pure: the same values give the same plan. Whoever carries it out asks the first target; when that
fails, or is checked and its answer is not good, `Plan.after` names the next, and never once a byte
of an answer has gone to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from noibo.routing.candidates import Candidate
from noibo.routing.demand import Demand
from noibo.routing.ordering import Ordered, order
from noibo.routing.reasons import Language, Reason
from noibo.routing.refusal import RuledOut, nothing_left
from noibo.routing.sifting import sift
from noibo.routing.stickiness import Previous, class_for
from noibo.routing.strategy import Class, Kind, Side, Strategy


class Outcome(Enum):
    """How asking a target ended without an answer that can be given."""

    FAILED = "failed"  # nobody there, broken off, 5xx, a worker that died
    BUSY = "busy"  # 429, a full queue, no room in memory
    SLOW = "slow"  # no first byte in its time
    TOO_LONG = "too_long"  # its context is smaller than was thought
    REFUSED = "refused"  # it says no to the request as it is (400, 422), or to noibo's key
    UNFIT = "unfit"  # it answered, and the judge finds that not good


FAILURES: Final = frozenset(set(Outcome) - {Outcome.UNFIT})


@dataclass(frozen=True, slots=True)
class Target:
    """One model to ask. `check`: its answer is held back until the judge has seen it; `redact`:
    what is personal is taken out first; `follows`: outcomes after which it is asked, of whoever
    was asked before it."""

    candidate: Candidate
    side: Side
    reasons: tuple[Reason, ...]
    check: bool = False
    redact: bool = False
    follows: frozenset[Outcome] = FAILURES

    @property
    def model(self) -> str:
        return self.candidate.name

    @property
    def local(self) -> bool:
        return self.candidate.local


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. `complexity` is None where no strategy asked for it; `p_local`: the chance that
    the local model is right."""

    model: str
    strategy: Kind
    targets: tuple[Target, ...]
    ruled_out: tuple[RuledOut, ...]
    reasons: tuple[Reason, ...]
    complexity: Class | None = None
    p_local: float | None = None
    threshold: float = 0.5

    @property
    def first(self) -> Target:
        """Whom to ask. There is somebody in what `make_plan` gives."""
        return self.targets[0]

    def after(self, place: int, outcome: Outcome, *, begun: bool = False) -> int | None:
        """The place of the target to ask when the one at `place` ended so; None: there is none.
        `begun`: a byte of its answer has reached the caller, so that nothing may follow.

        An answer that was not good is still one: where nobody after it answers, it is given."""
        if begun:
            return None
        for later in range(place + 1, len(self.targets)):
            if outcome in self.targets[later].follows:
                return later
        return None

    def explain(self, language: Language = "en") -> list[str]:
        """Everything, in sentences."""
        words = _WORDS[language]
        lines = [words["about"].format(reason.text(language)) for reason in self.reasons]
        for place, target in enumerate(self.targets):
            head = words["first" if place == 0 else "then"].format(target.model)
            lines.append(head + _said(target.reasons, language))
        for one in self.ruled_out:
            lines.append(words["out"].format(one.candidate.name) + _said(one.reasons, language))
        return lines

    def as_json(self, language: Language = "en") -> dict[str, Any]:
        """For `--json`, headers and the ledger."""
        return {
            "model": self.first.model if self.targets else None,
            "asked": self.model,
            "strategy": self.strategy,
            "local": self.first.local if self.targets else None,
            "class": self.complexity,
            "p_local": self.p_local,
            "reasons": [reason.as_json(language) for reason in self.reasons],
            "targets": [_target_json(target, language) for target in self.targets],
            "ruled_out": [
                {
                    "model": one.candidate.name,
                    "reasons": [reason.as_json(language) for reason in one.reasons],
                }
                for one in self.ruled_out
            ],
        }


def make_plan(  # noqa: PLR0913 - what a decision stands on, each a value of its own
    model: str,
    demand: Demand,
    candidates: Sequence[Candidate],
    strategy: Strategy,
    previous: Previous | None = None,
    *,
    offline: bool = False,
    language: Language = "en",
) -> Plan:
    """The plan for one request to the virtual model `model`. Raises `NoCandidate`, told in
    `language`, where nobody may and can answer."""
    plan = weigh(model, demand, candidates, strategy, previous, offline=offline)
    if not plan.targets:
        raise nothing_left(model, demand, plan.ruled_out, language)
    return plan


def weigh(  # noqa: PLR0913 - as above
    model: str,
    demand: Demand,
    candidates: Sequence[Candidate],
    strategy: Strategy,
    previous: Previous | None = None,
    *,
    offline: bool = False,
) -> Plan:
    """The same, without anybody to ask where nobody may and can answer."""
    p = _chance(demand, candidates)
    complexity, held = class_for(p, strategy, previous)
    left, out = sift(demand, candidates, strategy, complexity, offline=offline)
    hold = _hold(previous, held, left)
    ordered = order(demand, left, strategy, complexity, hold) if left else []
    return Plan(
        model=model,
        strategy=strategy.kind,
        targets=tuple(_targets(ordered, demand, strategy)),
        ruled_out=tuple(out),
        reasons=(
            *_of_class(p, strategy),
            *(Reason.of("because", en=en, vi=vi) for en, vi in demand.chance.reasons),
            _of_label(demand),
            *_of_conversation(previous, ordered, strategy),
        ),
        complexity=complexity if strategy.weighs or p is not None else None,
        p_local=p,
        threshold=strategy.confidence,
    )


def _chance(demand: Demand, candidates: Iterable[Candidate]) -> float | None:
    """Of the best model of this machine."""
    found = [one.chance(demand) for one in candidates if one.local]
    known = [p for p in found if p is not None]
    return max(known) if known else demand.chance.p


def _hold(
    previous: Previous | None, side: bool | None, left: Iterable[Candidate]
) -> Previous | None:
    """What answered before, where it can answer again and its side is not left."""
    if previous is None or side is None or previous.unfit:
        return None
    return previous if any(one.name == previous.model for one in left) else None


def _targets(ordered: Sequence[Ordered], demand: Demand, strategy: Strategy) -> Iterable[Target]:
    for place, one in enumerate(ordered):
        leaves = not one.candidate.local
        after_unfit = one.after_unfit and any(before.check for before in ordered[:place])
        yield Target(
            candidate=one.candidate,
            side=strategy.api if leaves else strategy.local,
            reasons=one.reasons,
            check=one.check and any(later.after_unfit for later in ordered[place + 1 :]),
            redact=leaves and demand.rule == "redact",
            follows=FAILURES | {Outcome.UNFIT} if after_unfit else FAILURES,
        )


def _of_class(p: float | None, strategy: Strategy) -> Iterable[Reason]:
    """What a request is, where its strategy asks for that."""
    if p is None:
        if strategy.weighs:
            yield Reason.of("unknown_chance")
    elif strategy.classify(p) == "medium":
        low, high = strategy.complex_threshold, strategy.simple_threshold
        yield Reason.of("medium", p=p, low=low, high=high)
    elif strategy.classify(p) == "simple":
        yield Reason.of("simple", p=p, threshold=strategy.simple_threshold)
    else:
        yield Reason.of("complex", p=p, threshold=strategy.complex_threshold)


def _of_label(demand: Demand) -> Reason:
    codes = {"leave": "may_leave", "redact": "redacted", "stay": "stays_here"}
    return Reason.of(codes[demand.rule], label=demand.label)


def _of_conversation(
    previous: Previous | None, ordered: Sequence[Ordered], strategy: Strategy
) -> Iterable[Reason]:
    """Whether the conversation goes on with its model, and why not where it does not."""
    if previous is None or not strategy.sticky or not ordered:
        return
    first = ordered[0].candidate
    if first.name == previous.model:
        yield Reason.of("stays_with", model=previous.model)
    elif previous.unfit:
        yield Reason.of("leaves_unfit", model=previous.model)
    elif all(one.candidate.name != previous.model for one in ordered):
        yield Reason.of("leaves_forgot", model=previous.model)
    elif first.local != previous.local:
        yield Reason.of("leaves_easier" if first.local else "leaves_harder", model=previous.model)


_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {"about": "{}", "first": "{} is asked: ", "then": "then {}: ", "out": "not {}: "},
    "vi": {"about": "{}", "first": "hỏi {}: ", "then": "sau đó {}: ", "out": "không dùng {}: "},
}


def _said(reasons: Iterable[Reason], language: Language) -> str:
    return "; ".join(reason.text(language) for reason in reasons)


def _target_json(target: Target, language: Language) -> dict[str, Any]:
    return {
        "model": target.model,
        "local": target.local,
        "check": target.check,
        "redact": target.redact,
        "fields": target.side.fields(),
        "follows": sorted(outcome.value for outcome in target.follows),
        "reasons": [reason.as_json(language) for reason in target.reasons],
    }
