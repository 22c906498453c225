"""`suffix`: each prompt of a text completion is what stands before a gap. Nothing of it is cut: one
that is longer than the model's context is refused as any prompt is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from noibo.engines.engine import Verb
from noibo.engines.supervision.ticket import Ticket
from noibo.errors import ContextExceeded, InvalidRequest, NotSupported
from noibo.gateway.gap import Filler, Gap
from noibo.gateway.openai.asked import Asked
from noibo.gateway.pipeline import Pipeline
from noibo.wire import body

SUFFIX = "suffix"


async def filled(pipeline: Pipeline, asked: Asked, told: Callable[[Ticket], None]) -> Asked:
    """The same with prompts that ask for what stands in the gap, if that is asked for."""
    request = asked.request
    if SUFFIX not in request.fields:
        return asked
    fields = dict(request.fields)
    behind = body.field(fields, SUFFIX, str)
    del fields[SUFFIX]
    async with pipeline.worker(request.errand(Verb.TOKENISE), told) as upstream:
        try:
            filler = await Filler.of(upstream)
        except NotSupported as error:
            raise InvalidRequest(
                f"{SUFFIX}: {error.message}",
                param=SUFFIX,
                next_step="Leave it out, or ask a code model.",
            ) from error
        prompts = []
        for before in asked.prompts:
            prompts.append(await filler.prompt(Gap(before, behind)))
            _require_short(len(prompts[-1]), upstream.worker.window)
    wish = replace(request.wish, whole=True)
    return replace(asked, request=replace(request, fields=fields, wish=wish), prompts=prompts)


def _require_short(count: int, context: int) -> None:
    """Before the next one is made: together they are as many times the same suffix."""
    if count > context:
        raise ContextExceeded(
            count, context, param="prompt", next_step=f"Send less, before the {SUFFIX} or in it."
        )
