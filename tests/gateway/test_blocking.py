"""Nothing blocks the event loop: the server runs in this process, under blockbuster."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest
import uvicorn
from blockbuster import blockbuster_ctx

from noibo.gateway.app import create_app
from noibo.serving import open_services
from noibo.settings import load

pytestmark = pytest.mark.anyio


async def test_no_request_blocks_the_event_loop() -> None:
    tree = load()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(lambda: open_services(tree, lambda: None))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="asyncio"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        while not server.started:
            await asyncio.sleep(0.01)
        body = {"model": "echo", "prompt": "one two three", "x_echo": {"delay_ms": 5}}
        large = {"prompt": "one " * 40_000, "x_echo": {"text": "read"}}
        with blockbuster_ctx():
            answers = [
                await client.post("/v1/completions", json=body),
                await client.post("/v1/completions", json=body | {"stream": True}),
                await client.post("/v1/completions", json=body | {"model": "nope"}),
                await client.post("/v1/completions", json=body | large),
                await client.get("/v1/models"),
                await client.get("/noibo/v1/workers"),
                await client.get("/noibo/v1/queue"),
                await client.get("/ready"),
                await client.post("/noibo/v1/workers/echo/stop", headers={"X-Noibo-Client": "1"}),
            ]
    server.should_exit = True
    await serving
    assert [answer.status_code for answer in answers] == [
        200,
        200,
        404,
        200,
        200,
        200,
        200,
        200,
        200,
    ]
