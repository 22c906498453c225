"""Whether the programs that are asked for models answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from noibo.cli.doctor_checks import Finding, Level
from noibo.engines.listing import NOT_LOOKED
from noibo.settings import Settings
from noibo.wire.engines import Engines


def elsewhere(tree: Settings) -> Iterator[Finding]:
    """Each address in the settings is looked at once; nothing where there is none."""
    if not tree.uses and not any(own.elsewhere for own in tree.models.values()):
        return
    found = asyncio.run(_look(tree))
    for place in found.places:
        if place.models:
            said = f"{', '.join(place.models)} at {place.url}: {place.said}"
            fine = place.answers or place.said.endswith(NOT_LOOKED)
            level = Level.OK if fine else Level.WARNING
            step = "" if fine else "Start that server, or mend base_url in noibo.toml."
            yield Finding(level, said, step)
    for use in found.uses:
        if use.problem:
            yield Finding(Level.WARNING, f"use:{use.use} leads nowhere: {use.problem}", "")


async def _look(tree: Settings) -> Engines:
    from noibo.assembly import open_engines, open_lookup
    from noibo.engines.listing import listed
    from noibo.engines.upstream import new_session

    async with new_session() as session:
        resolve = open_lookup(tree).resolve
        return await listed(tree, open_engines(tree), resolve, session, serves=False)
