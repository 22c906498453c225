"""Runs code of the seed in a process of its own, as a program does, and lets nothing out of it.

Reads the code on standard input; `await` and `async for` may stand at its top, as in a notebook.
What the seed leaves to its reader (`rag_search`, `document_content`) is here.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from typing import Any

SEED = {
    "query": "What is the capital of Vietnam?",
    "rag_search": lambda query: "Hanoi is the capital of Vietnam.",
    "document_content": "Hà Nội là thủ đô của Việt Nam. Thành phố nằm bên sông Hồng.",
}


def stay_inside(event: str, arguments: tuple[Any, ...]) -> None:
    """No connection but to this machine, and nothing that listens."""
    if event == "socket.connect" and arguments[1][0] not in {"127.0.0.1", "::1"}:
        raise PermissionError(f"the seed's code connected to {arguments[1]}")
    if event in {"socket.bind", "socket.getaddrinfo"}:
        raise PermissionError(f"the seed's code did {event}")


def run(code: str) -> None:
    """Once, from its first line to its last."""
    space: dict[str, Any] = dict(SEED)
    made = compile(code, "<seed>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if made.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(made, space))
    else:
        exec(made, space)


if __name__ == "__main__":
    sys.addaudithook(stay_inside)
    run(sys.stdin.read())
