"""A request is held to the window of the worker that will answer it: it fits, is cut, or refused.

What is short pays nothing for that: its bytes show that it fits. All else is counted exactly before
it runs, on the lease that is held already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from noibo.engines.engine import Fields
from noibo.engines.upstream import Upstream
from noibo.errors import ContextExceeded, EngineError, InvalidRequest
from noibo.gateway.window.cut import Cut
from noibo.gateway.window.policy import Policy
from noibo.gateway.window.prompts import MESSAGES, PROMPT, Chat, Count, Text
from noibo.gateway.window.room import Limit, Room
from noibo.gateway.window.summary import CannotSummarise, Summary
from noibo.gateway.window.turns import Turns
from noibo.wire import body
from noibo.wire.management import CONTEXT_HEADER

_FRAME: Final = 32  # tokens round a summary


@dataclass(frozen=True, slots=True)
class Fitting:
    """How one request is to be held to its window. `made_of`: fields that the caller's were made
    into, each with the caller's. `whole`: its prompt is not to be cut, whatever the policy says."""

    policy: Policy
    chat: bool
    made_of: Mapping[str, str]
    whole: bool = False

    async def fit(self, upstream: Upstream, fields: Fields) -> Cut | None:
        """Make `fields` fit, in place. What was cut; None if nothing was. Raises
        `ContextExceeded`."""
        window, limit = upstream.worker.window, Limit.of(fields)
        if not window:
            return None  # who answers holds it to its own
        room = Room(window, limit)
        if room.surely_holds(body.length(fields), upstream.worker.model.chat_template):
            return None
        if self.chat:
            return await self._fit_chat(Chat(upstream, fields), room)
        return await self._fit_text(Text(upstream, fields), room)

    async def _fit_chat(self, chat: Chat, room: Room) -> Cut | None:
        tokens = await chat.count()
        if room.holds(tokens):
            return None
        if self.policy is Policy.REFUSE:
            raise self._refusal(chat.upstream, room, tokens)
        if tokens <= room.for_prompt:
            return self._cut(room, tokens)
        turns = await chat.turns()
        if self.policy is Policy.SUMMARISE and turns.droppable:
            with contextlib.suppress(CannotSummarise):
                return await self._summarise(chat, turns, room, tokens)
        dropped, left = await fewest(turns, room.for_prompt, chat.count_of)
        if left >= room.window:
            raise self._refusal(chat.upstream, room, tokens, least=left)
        await chat.say(turns.without(dropped))
        messages = len(turns.dropped(dropped))
        return replace(self._dropped(room, left), messages=messages, tokens=tokens - left)

    async def _summarise(self, chat: Chat, turns: Turns, room: Room, tokens: int) -> Cut:
        """A summary instead of the oldest turns. Raises `CannotSummarise`."""
        summary = Summary.of(chat.upstream, room.window)
        most = room.for_prompt - summary.most - _FRAME
        dropped, bare = await fewest(turns, most, chat.count_of)
        if bare > most:
            raise CannotSummarise
        gone = turns.dropped(dropped)
        said = await summary.make(gone)
        for apart in (True, False):
            messages = turns.summarised(dropped, said, apart=apart)
            try:
                left = await chat.count_of(messages)
            except (EngineError, InvalidRequest):  # no second word of the system in this template
                continue
            if left <= room.for_prompt:
                await chat.say(messages)
                return replace(
                    self._cut(room, left),
                    messages=len(gone),
                    tokens=tokens - bare,
                    summary=said,
                    summary_tokens=left - bare,
                )
        raise CannotSummarise

    async def _fit_text(self, text: Text, room: Room) -> Cut | None:
        tokens = await text.count()
        if room.holds(tokens):
            return None
        whole = self.whole or len(text.prompts) > 1
        if self.policy is Policy.REFUSE or (whole and tokens > room.for_prompt):
            raise self._refusal(text.upstream, room, tokens)
        if tokens <= room.for_prompt:
            return self._cut(room, tokens)
        gone = await text.cut(room.for_prompt)
        return replace(self._dropped(room, tokens - gone), tokens=gone)

    def _cut(self, room: Room, left: int) -> Cut:
        """What is to be said, with so many tokens left of the prompt."""
        return Cut(self.policy.value, room.window, limit=room.left(left))

    def _dropped(self, room: Room, left: int) -> Cut:
        """The same where the oldest is dropped, whatever was asked for."""
        cut, oldest = self._cut(room, left), Policy.DROP_OLDEST
        if self.policy is oldest:
            return cut
        return replace(cut, policy=oldest.value, instead_of=self.policy.value)

    def _refusal(
        self, upstream: Upstream, room: Room, tokens: int, *, least: int = 0
    ) -> ContextExceeded:
        """What is said of a prompt of so many tokens, which has `least` when all is dropped that
        may go."""
        name = MESSAGES if self.chat else PROMPT
        param = self.made_of.get(name, name)
        limit = self.made_of.get(room.limit.field, room.limit.field)
        steps = []
        if room.limit.tokens is not None and tokens < room.window:
            steps.append(f"{limit} can be {room.window - tokens} at most; or send less.")
        elif least:
            steps.append(f"What may not be dropped has {least} tokens: send less.")
        else:
            steps.append("Send less.")
        if not (least or self.whole):
            steps.append(f"With the header `{CONTEXT_HEADER}: drop_oldest` the oldest is left out.")
        if (trained := upstream.worker.model.trained_context) > room.window:
            steps.append(f"Or raise engine.ctx_size: the model was trained for {trained}.")
        return ContextExceeded(
            tokens,
            room.window,
            wanted=room.limit.tokens,
            param=param,
            next_step=" ".join(steps),
        )


async def fewest(turns: Turns, most: int, count: Count) -> tuple[int, int]:
    """How many of the oldest turns have to go so that the rest has `most` tokens at most, or all
    that may go where that is not enough; and the tokens of the rest."""
    low, high = 0, turns.droppable
    left = await count(turns.without(high))
    if left > most:
        return high, left
    while low < high:
        middle = (low + high) // 2
        found = await count(turns.without(middle))
        if found <= most:
            high, left = middle, found
        else:
            low = middle + 1
    return high, left
