"""Takes away, as long as a server runs, what was kept for as long as the settings say."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from noibo.errors import NoiboError
from noibo.gateway.retention import keeps_not_for_ever, let_go
from noibo.gateway.stored import Opening
from noibo.settings import Settings

log = logging.getLogger(__name__)

_EVERY_S: Final = 600.0


async def sweep(stored: Opening, settings: Settings) -> None:
    """As long as the server runs; not at all where everything is kept for ever."""
    while keeps_not_for_ever(settings):
        try:
            counts = await let_go(await stored.wanted(), settings)
            if counts:
                log.info("old enough, and taken away: %s", counts)
        except NoiboError as error:
            log.error("what is old enough is not taken away: %s", error)
        except Exception:
            log.exception("what is old enough is not taken away; that is tried again")
        await asyncio.sleep(_EVERY_S)
