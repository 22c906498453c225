"""Prompts as the tokens that a model reads: what its template makes of a chat, what was before it,
and texts with a gap to fill."""

from __future__ import annotations

from collections.abc import Sequence

from noibo.engines import asking
from noibo.engines.engine import Model, Verb
from noibo.engines.upstream import Upstream
from noibo.errors import InvalidRequest, NotSupported
from noibo.gateway.gap import Filler, Gap
from noibo.gateway.ollama.asked import Asked
from noibo.gateway.ollama.teller import Said
from noibo.gateway.ollama.turns import Completion
from noibo.wire.body import Fields
from noibo.wire.ollama.thinking import CLOSING, OPENING

_OF_TEMPLATE = ("messages", "tools", "chat_template_kwargs")


async def rendered(upstream: Upstream, fields: Fields, *, with_own: bool = True) -> str:
    """What the model's template makes of a chat. `with_own`: with the messages that came with the
    model, as every chat has them."""
    found = dict(fields)
    if with_own:
        asking.apply(upstream.worker.model.defaults, found, chat=True)
    asked = {name: found[name] for name in _OF_TEMPLATE if name in found}
    answer = await upstream.ask(Verb.TOKENISE, "/apply-template", asked)
    return str(answer["prompt"])


async def chat_tokens(upstream: Upstream, fields: Fields) -> list[int]:
    """The tokens of a whole chat, as the engine reads it."""
    return await upstream.tokenise(await rendered(upstream, fields))


async def continued(
    upstream: Upstream, turn: Completion, asked: Asked, model: Model
) -> tuple[list[int], bool]:
    """A conversation that was before, as tokens, and the next prompt after it; and whether that
    has begun a thought."""
    require_known(turn.context, model)
    fields = turn.fields(asked, model)
    prompt = await rendered(upstream, fields, with_own=False)
    tokens = [*turn.context, *await upstream.tokenise(prompt, special=False)]
    return tokens, prompt.rstrip().endswith(OPENING)


async def answered(upstream: Upstream, prompt: Sequence[int], said: Said) -> list[int]:
    """The conversation with its answer; a thought is told as the template tells it."""
    text = said.content
    if said.thinking:
        text = f"{OPENING}\n{said.thinking}\n{CLOSING}\n\n{text}"
    return [*prompt, *await upstream.tokenise(text, special=False)]


async def with_gap(upstream: Upstream, turn: Completion, name: str) -> list[int]:
    """What stands before a gap, and after it, for a model that was trained to fill it. Raises
    `InvalidRequest` for one that was not."""
    try:
        filler = await Filler.of(upstream)
    except NotSupported as error:
        raise InvalidRequest(
            f'suffix: "{name}" does not support insert.', param="suffix", next_step=error.next_step
        ) from error
    return await filler.prompt(Gap(turn.prompt, turn.suffix))


def require_known(context: Sequence[int], model: Model) -> None:
    """Raise `InvalidRequest` for tokens that the model does not have."""
    size = (model.info.vocabulary_size if model.info else None) or 2**31
    if any(not 0 <= token < size for token in context):
        raise InvalidRequest(
            f"context: its tokens are not of {model.name}, which has {size:,}.",
            param="context",
            next_step="Send what this model's last answer had as context, or leave it out.",
        )
