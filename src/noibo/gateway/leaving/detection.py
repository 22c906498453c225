"""The detector of this server: loaded when something may leave for the first time, in a thread.

A server that only asks its own models never loads it. Where it cannot be loaded there is none, and
then nothing leaves that is not known to be harmless.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from noibo.gateway.leaving.journey import Journey
from noibo.privacy.judgement import Judgement, Reason
from noibo.privacy.judging import Find, judged, undetected
from noibo.privacy.outgoing import Outgoing, outgoing
from noibo.privacy.policy import Policy
from noibo.privacy.remembered import Remembered

log = logging.getLogger(__name__)


class Detection:
    """Judges bodies by one policy, never on the event loop. Of a conversation that is sent again
    with each turn only what is new is looked through."""

    def __init__(self, policy: Policy, find: Find | None = None) -> None:
        self.policy = policy
        self._find: Find | None = None if find is None else Remembered(find)
        self._loaded = find is not None
        self._turn = threading.Lock()

    async def judge(
        self, journey: Journey, fields: Mapping[str, Any], said: list[Reason]
    ) -> Judgement:
        """Of a body, joined with all that was judged for the same request before."""
        policy, ends = self.policy, time.monotonic() + self.policy.detect_s

        def look() -> Judgement:
            find = journey.finding(self._detector())
            return judged(policy, fields, find, said, lambda: time.monotonic() > ends)

        try:
            # One expression over one text cannot be stopped: it is not waited for any longer.
            async with asyncio.timeout(policy.detect_s + 1):
                found = await asyncio.to_thread(look)
        except TimeoutError:
            found = undetected(policy, "the detector took too long")
        return journey.judged(found)

    async def hide(
        self, journey: Journey, judgement: Judgement, fields: Mapping[str, Any], path: str
    ) -> Outgoing:
        """The body as it may leave. Raises `MustStay`."""

        def make() -> Outgoing:
            find = journey.finding(self._detector())
            return outgoing(judgement, fields, find, path, journey.redaction)

        return await asyncio.to_thread(make)

    def _detector(self) -> Find | None:
        with self._turn:
            if not self._loaded:
                self._loaded = True
                try:
                    from noibo.privacy.detector import Detector

                    self._find = Remembered(Detector().find)
                except Exception:
                    log.exception(
                        "there is no detector: what would have to be looked through stays"
                    )
        return self._find
