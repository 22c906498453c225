"""A server that only answers locally: run by tests as a process of its own, until it is killed.

It prints the id of each call after it was noted, as an answer that has ended would.
"""

from __future__ import annotations

import asyncio
import os
import sys

from noibo.assembly import open_database
from noibo.settings import load
from noibo.usage.ledger import Ledger
from tests.usage.calls import local, opening


async def main(said: str, *, brings: bool) -> None:
    database = open_database(load())
    ledger = Ledger(opening(database), load().home / "usage", every_s=0.05)
    told = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with asyncio.TaskGroup() as tasks:
        if brings:
            tasks.create_task(ledger.run())
        while True:
            entry = local()
            ledger.note(entry)
            os.write(told, f"{entry.id}\n".encode())
            await asyncio.sleep(0.0005)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], brings=sys.argv[2] == "brings"))
