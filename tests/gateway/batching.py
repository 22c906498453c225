"""Batches as the tests make them, through the official client."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.types import Batch

from tests.running import RunningServer, until

CHAT = "/v1/chat/completions"
ENDED = {"completed", "failed", "expired", "cancelled"}


def sdk(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0)


def line(name: Any, url: str = CHAT, **fields: Any) -> dict[str, Any]:
    body = {"model": "echo", "messages": [{"role": "user", "content": f"say {name}"}]} | fields
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def said(name: Any, **fields: Any) -> dict[str, Any]:
    """A line for a response, which is kept: it shows that the line was asked."""
    body = {"model": "echo", "input": f"say {name}"} | fields
    return {"custom_id": name, "method": "POST", "url": "/v1/responses", "body": body}


def sent(client: openai.OpenAI, *lines: Any, endpoint: str = CHAT, **fields: Any) -> Batch:
    rows = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines]
    file = client.files.create(file=("in.jsonl", b"\n".join(rows)), purpose="batch")
    made: Batch = client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
        **fields,
    )
    return made


def ended(client: openai.OpenAI, batch: Batch, patience: float = 60) -> Batch:
    until(lambda: client.batches.retrieve(batch.id).status in ENDED, "the batch ends", patience)
    return client.batches.retrieve(batch.id)


def completed(client: openai.OpenAI, batch: Batch) -> int:
    counts = client.batches.retrieve(batch.id).request_counts
    return counts.completed if counts else 0


def results(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    return [json.loads(row) for row in client.files.content(file).text.splitlines()]


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["custom_id"] for row in rows]
