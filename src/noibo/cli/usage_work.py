"""The work of a month that `noibo usage compare` compares three ways of doing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from noibo.cli.usage_book import DAY_S, Book
from noibo.errors import UsageError
from noibo.usage.comparison import Work
from noibo.usage.money import decimal, dollars
from noibo.usage.report import Report
from noibo.usage.sums import first
from noibo.usage.words import WORDS, Language

_MONTH_S: Final = Decimal("30.4375") * Decimal(str(DAY_S))


@dataclass(frozen=True, slots=True)
class Basis:
    """What the work of a month was found from: `left_out` calls have no known cost or count, and no
    part in it."""

    said: str
    left_out: int = 0


def kept_work(book: Book, since: str, against: str | None, lang: Language) -> tuple[Work, Basis]:
    """The work of a month, out of the calls that are kept."""
    now = time.time()
    window = book.window(since)
    began = book.read(first)
    total = (found := book.report(window, "model", against)).total
    why = _unknown(found)
    if began is None or total.instead is None or why:
        raise UsageError(
            f"What everything to the API would cost is not known: {why}.",
            next_step="Name a model with --against, or say it: `noibo usage compare --api 750 "
            "--local-share 0.8 --hardware-price 2500 --watts 250 --kwh-price 0.10`.",
        )
    lasted = max(now - max(began, window.since), 3600.0)
    scale = _MONTH_S / Decimal(str(lasted))
    rest = dollars(total.api.amount) * scale
    share = cast("Decimal", total.local_share)
    busy = min(Decimal(total.local_ms) / 1000 / Decimal(str(lasted)), Decimal(1))
    days = f"{lasted / DAY_S:.1f}"
    words = WORDS[lang]
    said = [words.basis.format(days=days, name=found.reference)]
    if not total.api.whole:
        said.append(words.basis_part.format(count=total.api.unknown))
    if total.uncounted:
        said.append(words.basis_uncounted.format(count=total.uncounted))
    basis = Basis(" ".join(said), total.api.unknown + total.uncounted)
    return Work(dollars(total.instead) * scale + rest, share, busy, rest), basis


def _unknown(found: Report) -> str:
    """Why nobody knows what it would cost elsewhere; empty where somebody does."""
    if not found.total.answers:
        return "no answer is kept of that time"
    if found.total.instead is None:
        return f"{found.reference} has no known price" if found.reference else "no model is named"
    if found.total.api.unknown and not found.total.api.amount:
        return "of no call of the API the cost is known"
    return ""


def said_work(api: float, local_share: float | None, busy: float | None) -> Work:
    """The work of a month, as a person says it."""
    share = Decimal("0.8") if local_share is None else Decimal(str(local_share))
    return Work(decimal(api, "--api"), share, Decimal(1) if busy is None else Decimal(str(busy)))
