"""`/infill`: a gap in a file, filled where an editor's cursor is.

Editors send more than a model reads: what is farthest from the gap is left out where the model's
window ends, unless it is to be refused. The header and the end of the answer say so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from noibo.engines.engine import Verb
from noibo.gateway.gap import Filler, Gap
from noibo.gateway.llama.native import NativeRelay
from noibo.gateway.pipeline import Request
from noibo.gateway.reply import Reply
from noibo.gateway.services import Services
from noibo.gateway.window.cut import Cut
from noibo.gateway.window.policy import Policy, Wish
from noibo.wire import body
from noibo.wire.body import Fields, field

DROPPED: Final = Policy.DROP_OLDEST.value
USUAL_ANSWER: Final = 128  # tokens that are left room for where nobody says how many
_OURS: Final = ("input_prefix", "input_suffix", "input_extra", "prompt")


class Filling(NativeRelay):
    """An answer that fills a gap."""

    def __init__(self, services: Services, request: Request) -> None:
        super().__init__(services, request)
        self._services = services

    async def answer(self, reply: Reply) -> None:
        """Put the prompt together, then answer as to any other."""
        asked = self._request
        errand = asked.errand(Verb.TOKENISE)
        async with self._services.pipeline.worker(errand) as upstream:
            filler = await Filler.of(upstream)
            prompt = await filler.prompt(_gap(asked.fields))
            room = _room(upstream.worker.window, asked.fields)
            wish = Wish(usual=Policy.DROP_OLDEST, whole=True)
            policy = self._services.pipeline.policy(asked, upstream.worker.model, wish)
            if len(prompt) > room and policy is not Policy.REFUSE:
                whole = len(prompt)
                prompt = await filler.prompt(_gap(asked.fields), room)
                cut = Cut(DROPPED, upstream.worker.window, tokens=whole - len(prompt))
                wish = replace(wish, cut=cut)
        fields = {name: value for name, value in asked.fields.items() if name not in _OURS}
        fields["prompt"] = body.raw(prompt)
        self._request = replace(asked, path="/completion", fields=fields, wish=wish)
        await super().answer(reply)


def _gap(fields: Fields) -> Gap:
    before, behind, said = (
        field(fields, name, str, "") for name in ("input_prefix", "input_suffix", "prompt")
    )
    return Gap(before, behind, said, field(fields, "input_extra", list[dict[str, Any]], []))


def _room(context: int, fields: Fields) -> int:
    """Tokens that a prompt may have, with room for what is to be written."""
    wanted = field(fields, "n_predict", int, -1)
    left = wanted if wanted >= 0 else USUAL_ANSWER
    return context - 1 - min(left, context // 2)
