"""Who a request is for is in no log, whatever the route and however much is logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.running import RunningServer, until

SECRET = "Trang-Nguyen-4711"
HI = [{"role": "user", "content": "Hi"}]
FOR_SOMEBODY = {"user": SECRET, "safety_identifier": SECRET, "metadata": {"case": SECRET}}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": HI, **FOR_SOMEBODY, "prompt_cache_key": SECRET}),
    ("/v1/completions", {"prompt": "Hi", "user": SECRET}),
    ("/v1/responses", {"input": "Hi", **FOR_SOMEBODY, "prompt_cache_key": SECRET}),
    ("/v1/embeddings", {"input": "Hi", "user": SECRET}),
    ("/embedding", {"content": "Hi", "user": SECRET}),
    ("/v1/messages", {"messages": HI, "max_tokens": 5, "metadata": {"user_id": SECRET}}),
    ("/v1/messages/count_tokens", {"messages": HI, "metadata": {"user_id": SECRET}}),
    ("/completion", {"prompt": "Hi", "user": SECRET}),
    ("/tokenize", {"content": "Hi", "user": SECRET}),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "user": SECRET}),
    ("/api/chat", {"messages": HI, "user": SECRET}),
    ("/api/generate", {"prompt": "Hi", "user": SECRET}),
    ("/api/embed", {"input": "Hi", "user": SECRET}),
]


def test_no_log_says_who_a_request_is_for(home: Path) -> None:
    with RunningServer(home, NOIBO_LOG_LEVEL="debug") as server:
        for path, body in ROUTES:
            headers = {"anthropic-beta": SECRET}
            asked = {"model": "echo", **body}
            answer = httpx2.post(server.url + path, json=asked, headers=headers, timeout=60)
            assert answer.status_code in {200, 404, 501}, (path, answer.text)  # echo has not all
        until(lambda: server.log.read_text().count(" sent ") >= 5, "the log says what was sent")
        said = server.log.read_text()
    assert SECRET not in said
    for name in ("user", "metadata", "safety_identifier", "user_id", "anthropic-beta"):
        assert f"{name} " in said
