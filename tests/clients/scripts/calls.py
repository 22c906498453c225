"""What every client is asked to do, and how its answers are told: one JSON line for each call.

A script is run as `SCRIPT URL MODEL`, in an environment that holds the clients and not noibo. Each
of its functions is a call; what it returns is told, or the error it raised.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

QUESTION = "What is the capital of France?"
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "people": {"type": "integer", "minimum": 0, "maximum": 99_999_999},
    },
    "required": ["city", "people"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 40}},
            "required": ["city"],
            "additionalProperties": False,  # or a small model goes on with what it makes up
        },
    },
}

# A scripted model: it calls `get_weather` for Paris, and says again what it was told last.
CALLER = "caller"
RESULT = "Sunny in Paris."


def run(*calls: Callable[..., Any]) -> None:
    """Do each call with the server's address and the model's name."""
    url, model = sys.argv[1:3]
    for call in calls:
        try:
            told = call(url, model)
            if inspect.isawaitable(told):
                told = asyncio.run(_awaited(told))
            said = {"ok": told}
        except Exception:  # noqa: BLE001 - told
            said = {"error": traceback.format_exc()}
        print(json.dumps({"call": call.__name__, **said}), flush=True)


async def _awaited(what: Any) -> Any:
    return await what
