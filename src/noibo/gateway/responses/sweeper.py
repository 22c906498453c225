"""Takes away responses that were kept for as long as the settings say."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from noibo.errors import NoiboError
from noibo.gateway.stored import Opening

log = logging.getLogger(__name__)

_EVERY_S: Final = 600.0
_DAY_S: Final = 86_400.0


async def sweep(stored: Opening, keep_days: int) -> None:
    """As long as the server runs. 0 days: nothing is ever taken away."""
    while keep_days:
        try:
            await (await stored.wanted()).responses.forget(keep_days * _DAY_S)
        except NoiboError as error:
            log.error("responses are not swept: %s", error)
        except Exception:
            log.exception("responses are not swept; that is tried again")
        await asyncio.sleep(_EVERY_S)
