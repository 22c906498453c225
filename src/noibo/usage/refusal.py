"""What is said to a caller whom a budget refuses: why, until when, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from noibo.errors import ApiCallsExceeded, BudgetExceeded, PriceUnknown
from noibo.usage.money import DOLLARS
from noibo.usage.rules import ALL, HOUR, Claim, Rule

if TYPE_CHECKING:
    from noibo.usage.reservations import Full


def exceeded(full: Sequence[Full], bound: int, now: float) -> BudgetExceeded:
    """Of limits that a call which can cost `bound` does not fit in: why, and until when."""
    local = all(one.claim.rule.over == "local" for one in full)
    waits = [_wait(one, now) for one in full]
    # A call that is dearer than a whole budget has nothing to wait for.
    hopeless = any(one.claim.period != HOUR and bound > one.claim.limit for one in full)
    wait = None if hopeless else max(waits)
    kind = ApiCallsExceeded if all(one.claim.period == HOUR for one in full) else BudgetExceeded
    return kind(
        " ".join(_said(one) for one in full),
        next_step=_next_step(full, hopeless=hopeless),
        retry_after_s=wait,
        resets_at=None if wait is None else now + wait,
        answer_locally=local,
    )


def price_unknown(model: str, claims: Sequence[Claim]) -> PriceUnknown:
    """Of a call that nobody can keep to these limits."""
    whose = "this server" if claims[0].rule.whose == ALL else f"[budgets.{claims[0].rule.whose!r}]"
    return PriceUnknown(
        f"{model[:80]} has no known price, and the budget of {whose} is kept by one.",
        next_step=f'Write it into noibo.toml, as [prices."{model[:80]}"] with input and output; or '
        "bring a newer table: `noibo usage prices --file FILE`.",
    )


def _wait(full: Full, now: float) -> float:
    ends = max(full.claim.resets_at - now, 0.0)
    return ends if full.wait_s is None else min(full.wait_s, ends)


def _next_step(full: Sequence[Full], *, hopeless: bool) -> str:
    if not all(one.claim.limit for one in full):
        return "Ask a model of this machine."
    if hopeless:
        return "Ask for fewer tokens (max_tokens): this call alone can cost more than that."
    if all(one.wait_s is not None and one.claim.period != HOUR for one in full):
        return "Ask again in a moment: calls that run have reserved what is left."
    return "Ask again later, or a model of this machine."


def _whose(rule: Rule, scope: str) -> str:
    """In a message to the caller, who may not know what others spend."""
    words = {"key": "of this key", "user": "of this user", "model": f"of {scope[6:]}"}
    return words.get(rule.kind, "of this server")


def _said(full: Full) -> str:
    claim = full.claim
    whose = _whose(claim.rule, claim.scope)
    if claim.period == HOUR:
        return f"The {claim.limit} calls of models elsewhere an hour {whose} were made."
    length = "month" if len(claim.period) == 7 else "day"
    if not claim.limit:
        return f"The budget {whose} for a {length} is 0: nothing may be spent."
    many = ""
    if claim.rule.kind in {"key", "user"}:
        used, limit = DOLLARS.shown(full.used), DOLLARS.shown(claim.limit)
        many = f" ({used} of {limit} spent or reserved)"
    return f"The budget {whose} for this {length} has no room for this call{many}."
