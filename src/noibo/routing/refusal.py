"""When no model is left that may and can answer: which error that is, and what would be needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from noibo.errors import NoCandidate
from noibo.routing.candidates import Candidate
from noibo.routing.demand import Demand, Means
from noibo.routing.reasons import Language, Reason

# What mends each obstacle, from what mends itself to what policy forbids; and its HTTP status.
_MENDS: Final[dict[str, tuple[int, str, str]]] = {
    "breaker": (
        503,
        "Try again when it is back, or name another candidate.",
        "Thử lại khi mô hình hoạt động trở lại, hoặc khai báo thêm ứng viên.",
    ),
    "api_calls": (
        429,
        "Try again later, or raise max_api_calls_per_hour.",
        "Thử lại sau, hoặc tăng max_api_calls_per_hour.",
    ),
    "budget": (
        429,
        "Try again when the budget begins anew, or raise it.",
        "Thử lại khi ngân sách được làm mới, hoặc tăng ngân sách.",
    ),
    "too_dear": (400, "Ask for less, or raise max_cost.", "Yêu cầu ít hơn, hoặc tăng max_cost."),
    "cost_unknown": (
        400,
        "Say its price in the price table.",
        "Khai báo giá của mô hình trong bảng giá.",
    ),
    "too_slow": (
        400,
        "Ask for a shorter answer, or raise max_seconds.",
        "Yêu cầu câu trả lời ngắn hơn, hoặc tăng max_seconds.",
    ),
    "context": (
        400,
        "Add a candidate with a context of {wanted} tokens, or send less.",
        "Thêm ứng viên có ngữ cảnh {wanted} token, hoặc gửi ít hơn.",
    ),
    "ability": (
        400,
        "Add a candidate that has {ability}.",
        "Thêm ứng viên có khả năng {ability}.",
    ),
    "not_allowed": (
        403,
        "Ask an administrator for a key that may use it.",
        "Xin quản trị viên khoá được phép dùng.",
    ),
    "not_local": (
        403,
        "Add a model of this machine to its candidates, or take another strategy.",
        "Thêm mô hình của máy này vào danh sách ứng viên, hoặc đổi chiến lược.",
    ),
    "not_api": (
        403,
        "Add a model elsewhere to its candidates, or take another strategy.",
        "Thêm mô hình ở nơi khác vào danh sách ứng viên, hoặc đổi chiến lược.",
    ),
    "offline": (
        403,
        "Set offline = false, or add a model of this machine that can do this.",
        "Đặt offline = false, hoặc thêm mô hình của máy này làm được việc này.",
    ),
    "label": (
        403,
        "Add a model of this machine that can do this: what is labelled {label} stays here.",
        "Thêm mô hình của máy này làm được việc này: nội dung nhãn {label} phải ở lại đây.",
    ),
}
_ORDER: Final = {code: place for place, code in enumerate(_MENDS)}


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A candidate that may not or cannot answer, with everything that stands against it."""

    candidate: Candidate
    reasons: tuple[Reason, ...]

    @property
    def worst(self) -> Reason:
        """What would have to be mended last."""
        return max(self.reasons, key=lambda reason: _ORDER.get(reason.code, len(_ORDER)))


def nothing_left(
    model: str, demand: Demand, ruled_out: Sequence[RuledOut], language: Language = "en"
) -> NoCandidate:
    """The error for a request that nobody can answer: of the candidate that the least stands
    against, and what would mend that."""
    if not ruled_out:
        return NoCandidate(
            f"{model} has no candidates.",
            status=503,
            next_step=f'Name some: [virtual."{model}"] candidates = ["…"] in noibo.toml.',
        )
    nearest = min(
        ruled_out, key=lambda one: (_ORDER.get(one.worst.code, len(_ORDER)), len(one.reasons))
    )
    status, english, vietnamese = _MENDS.get(nearest.worst.code, (503, "", ""))
    said = (vietnamese if language == "vi" else english).format(**nearest.worst.facts)
    why = "; ".join(
        f"{one.candidate.name}: {', '.join(reason.text(language) for reason in one.reasons)}"
        for one in ruled_out
    )
    head = (
        f"không mô hình nào của {model} trả lời được yêu cầu này"
        if language == "vi"
        else f"no model of {model} may and can answer this"
    )
    return NoCandidate(
        f"{head[0].upper()}{head[1:]}: {why}.",
        status=status,
        next_step=said,
        retry_after_s=_back_in(demand, ruled_out) if status in {429, 503} else None,
    )


def _closed(means: Means) -> bool:
    return not means.open or (means.api_calls_left is not None and means.api_calls_left <= 0)


def _back_in(demand: Demand, ruled_out: Sequence[RuledOut]) -> float | None:
    """Seconds until the first of them can answer, where only time stands against it."""
    waits = []
    for one in ruled_out:
        codes = {reason.code for reason in one.reasons}
        if not codes <= {"breaker", "api_calls", "budget"}:
            continue
        wait = one.candidate.standing.waits_s
        if codes & {"api_calls", "budget"}:
            closed = [one for one in (demand.means, one.candidate.means) if _closed(one)]
            wait = max([wait, *(means.retry_after_s or math.inf for means in closed)])
        waits.append(wait)
    least = min(waits, default=math.inf)
    return least if math.isfinite(least) else None
