"""`echo`: the prompt in front of the answer."""

from __future__ import annotations

from collections.abc import Sequence

from noibo.engines.engine import Verb
from noibo.gateway.openai import scoring
from noibo.gateway.openai.asked import Asked
from noibo.gateway.pipeline import Errand, Pipeline
from noibo.wire.openai.shape import Lead


async def leads_of(pipeline: Pipeline, asked: Asked) -> Sequence[Lead]:
    """What stands in front of the answers to each prompt; nothing where nobody asked for it."""
    if not asked.echo:
        return ()
    if asked.shape.top_logprobs is not None:
        return await scoring.leads_of(pipeline, asked)
    return [Lead(text) for text in await _texts(pipeline, asked)]


async def _texts(pipeline: Pipeline, asked: Asked) -> list[str]:
    """The prompts as texts; token ids are told by the model's own tokenizer."""
    if all(isinstance(prompt, str) for prompt in asked.prompts):
        return list(asked.prompts)
    errand = Errand(Verb.TOKENISE, asked.request.model, asked.request.caller)
    async with pipeline.worker(errand) as upstream:
        return [
            (await upstream.ask(Verb.TOKENISE, "/detokenize", {"tokens": prompt}))["content"]
            for prompt in asked.prompts
        ]
