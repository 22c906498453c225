"""A name that a caller's code has already, set in [aliases], is a model on every route."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from noibo.wire.management import MODEL_HEADER
from tests.gateway.conftest import ALIASES

CHAT, EMBED = ALIASES
SAY = [{"role": "user", "content": "Hi"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": SAY, "max_tokens": 1},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 1},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 1, "store": False},
    "/v1/messages": {"messages": SAY, "max_tokens": 1},
    "/api/chat": {"messages": SAY, "stream": False, "options": {"num_predict": 1}},
    "/completion": {"prompt": "Hi", "n_predict": 1},
    "/v1/embeddings": {"input": "Hi"},
    "/api/embed": {"input": "Hi"},
}


@pytest.mark.parametrize("path", ROUTES)
def test_an_alias_is_answered_by_its_model(small: httpx2.Client, path: str) -> None:
    alias = EMBED if "embed" in path else CHAT
    answer = small.post(path, json={"model": alias, **ROUTES[path]})
    assert answer.status_code == 200, answer.text
    if not path.startswith("/api/"):  # Ollama's say the name that was asked for
        assert answer.headers[MODEL_HEADER] == ALIASES[alias]


def test_an_alias_is_listed_and_found(small: httpx2.Client) -> None:
    listed = {row["id"] for row in small.get("/v1/models").json()["data"]}
    assert listed >= {*ALIASES, *ALIASES.values()}
    for alias in ALIASES:
        assert small.get(f"/v1/models/{alias}").json()["id"] == alias
