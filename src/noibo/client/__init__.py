"""The public client of a noibo server. The command line and the web app use nothing else.

    from noibo import Client

    with Client() as noibo:
        print(noibo.chat("Why is the sky blue?").text)
        for piece in noibo.stream("Count to ten."):
            print(piece, end="", flush=True)

`Client()` finds the server of this user: the one that runs now, else the address in the settings.
What every call sends and how its answer is read is said once, as a `Call`; the two only differ in
how they wait.
"""

from __future__ import annotations

from noibo.client.admitting import Admitting, AsyncAdmitting
from noibo.client.answers import Answer
from noibo.client.connection import find_server
from noibo.client.managing import AsyncManaging, Managing
from noibo.client.talking import AsyncTalking, Talking

__all__ = ["Answer", "AsyncClient", "Client", "find_server"]


class Client(Talking, Managing, Admitting):
    """Talks to a noibo server and waits for it."""


class AsyncClient(AsyncTalking, AsyncManaging, AsyncAdmitting):
    """The same as `Client`, on an event loop."""
