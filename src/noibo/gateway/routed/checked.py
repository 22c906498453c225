"""Whether the answer of a local model is good enough to be given: by itself, by what else its model
would say, and by a judge, where the virtual model has one.

What is asked for that stays with models of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from noibo.errors import NoiboError
from noibo.gateway.access.identity import now
from noibo.gateway.callers import Caller
from noibo.gateway.engine_events import counted, decoded
from noibo.gateway.pipeline import Request
from noibo.gateway.routed.attempt import ATTEMPT, Attempt
from noibo.gateway.routed.choosing import Choice
from noibo.gateway.routed.outcomes import outcome_of_check
from noibo.gateway.services import Services
from noibo.routing.agreement import agreement
from noibo.routing.judge_model import grade_of, judge_request
from noibo.routing.judging import Answer, Asked, Evidence, judge
from noibo.routing.verdict import Verdict
from noibo.wire import openai
from noibo.wire.body import raw

PATH: Final = "/v1/chat/completions"
_FREELY: Final = 0.7  # temperature of the further answers


async def check(services: Services, choice: Choice, attempt: Attempt) -> Verdict:
    """The verdict on what the attempt has heard."""
    asked, answer = Asked.of_chat(choice.chat), attempt.answer()
    threshold = choice.plan.threshold
    verdict = judge(answer, asked, threshold)
    if not verdict.good or answer.calls:
        await _keep(services, choice, attempt, verdict, None)
        return verdict
    share = await _agreement(services, choice, attempt, answer)
    grade = await _grade(services, choice, asked, answer)
    own = services.chooser.answers_of(attempt.model)
    calibration = own.weigh(answer.confidence, share)
    evidence = Evidence(choice.plan.p_local, calibration, share, grade)
    verdict = judge(answer, asked, threshold, evidence)
    await _keep(services, choice, attempt, verdict, grade)
    return verdict


async def _keep(
    services: Services, choice: Choice, attempt: Attempt, verdict: Verdict, grade: float | None
) -> None:
    """What it says of its model, for the chances of later requests."""
    if choice.p_raw is not None:
        found = outcome_of_check(choice.p_raw, verdict, grade)
        await asyncio.to_thread(services.chooser.outcomes.add, attempt.model, found)


async def _agreement(
    services: Services, choice: Choice, attempt: Attempt, answer: Answer
) -> float | None:
    """The share of answers of the same model that say the same."""
    more = choice.virtual.samples - 1
    messages = choice.messages
    if more <= 0 or not messages:
        return None
    fields = {"messages": messages, "temperature": _FREELY, **_limit(choice.chat)}
    asked = (_text(services, attempt.model, fields) for _ in range(more))
    further = [text for text in await asyncio.gather(*asked) if text is not None]
    return agreement([answer.text, *further]) if further else None


async def _grade(services: Services, choice: Choice, asked: Asked, answer: Answer) -> float | None:
    """What the judge says. One that is beyond this machine is not asked: what it would be told is
    no less the caller's for that, and nobody has planned for it to leave."""
    judge_name = choice.virtual.judge
    if not judge_name:
        return None
    said = await _text(services, judge_name, judge_request(asked.question, answer.text))
    return grade_of(said) if said is not None else None


async def _text(services: Services, name: str, fields: Mapping[str, Any]) -> str | None:
    """What a model of this machine answers; None where it does not."""
    token = ATTEMPT.set(None)
    try:
        model = await services.resolve(name)
        if services.pipeline.is_outside(model):
            return None
        who = now()
        request = Request.of(
            PATH,
            {one: raw(value) for one, value in {"model": name, **fields}.items()},
            Caller(who.name, owner=who.owner, grant=who.grant, by=who.by),
        )
        assembler = openai.Assembler(chat=True)
        async with services.pipeline.open(request) as stream:
            if stream.response.status != 200:
                return None
            async for block in counted(stream.worker, stream.chunks, stream.tokens):
                for event in decoded(stream.worker, block):
                    assembler.add(event)
        return Answer.of_chat(assembler.answer()).text
    except (NoiboError, msgspec.MsgspecError):
        return None
    finally:
        with contextlib.suppress(ValueError):
            ATTEMPT.reset(token)


def _limit(chat: Mapping[str, Any]) -> dict[str, Any]:
    limit = chat.get("max_tokens")
    return {"max_tokens": limit} if limit else {}
