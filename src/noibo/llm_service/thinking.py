"""Whether a model is to think before it answers, told as the gateway tells it. Pure."""

from __future__ import annotations

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.model_settings import ELSEWHERE
from noibo.wire.body import Json


def told(think: bool | None, model: Model) -> Json:
    """The fields of a request that say so. One that always thinks is asked for little effort where
    it has levels (gpt-oss), else it gets no tokens for it. Of one that is elsewhere nothing is
    known. Raises `InvalidRequest` where thoughts are wanted of a model that has none."""
    if think is None:
        return {}
    known = Thinking.of(model)
    if known.has_switch or model.format in ELSEWHERE:
        return {"chat_template_kwargs": {"enable_thinking": think}}
    if think and not known.thinks:
        raise InvalidRequest(
            f"think: {model.name} does not think: its chat template knows nothing of it.",
            param="think",
            next_step="Leave it out (`update_generation_config(think=None)`), or take a model "
            "that does.",
        )
    if think or not known.thinks:
        return {}  # it does so anyway
    return {"reasoning_effort": "low"} if known.takes_effort else {"thinking_budget_tokens": 0}
