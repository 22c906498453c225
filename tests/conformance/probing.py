"""Requests that a schema allows, and such as it does not, against a real server.

What must hold for every one: an answer in time, no failure of the server's own (501 is an answer:
it is said what is not served), and an error in the shape of the API that was asked.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from noibo import Client

IN_TIME_S = 60
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def is_openais(body: Any) -> bool:
    error = body["error"]
    return isinstance(error["message"], str) and isinstance(error["type"], str)


def is_ollamas(body: Any) -> bool:
    return isinstance(body["error"], str)


def is_anthropics(body: Any) -> bool:
    return body["type"] == "error" and isinstance(body["error"]["message"], str)


def shape_of(path: str) -> Callable[[Any], bool]:
    """How errors of a route look."""
    if path.startswith("/api/"):
        return is_ollamas
    return is_anthropics if path.startswith("/v1/messages") else is_openais


@dataclass
class Probe:
    """One API of one server; `counted` is how many requests had which status."""

    url: str
    model: str = "echo"
    most_tokens: int = 0  # of an answer; 0: as many as are asked for
    counted: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def schema(self, schema: Any, examples: int, skip: Iterable[str] = ()) -> None:
        """Every operation of a schema, `examples` times as it is allowed and as it is not."""
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path not in skip:
                for mode in MODES:
                    self.operation(operation, mode, examples)

    def operation(self, operation: Any, mode: GenerationMode, examples: int) -> None:
        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def run(case: schemathesis.Case) -> None:
            if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
                case.body["model"] = self.model
            if isinstance(case.body, dict) and self.most_tokens:
                self.shorten(case.body)
            case.headers.pop("Origin", None)
            self.judge(
                f"{mode.value} {case.method} {case.formatted_path} {str(case.body)[:500]}",
                lambda: case.call(base_url=self.url, timeout=IN_TIME_S),
            )

        with contextlib.suppress(Unsatisfiable):  # of what takes nothing, nothing can be wrong
            run()

    def shorten(self, body: dict[str, Any]) -> None:
        """A real model takes its time: what would be a long answer is a short one."""
        for name in ("max_tokens", "max_completion_tokens"):
            if isinstance(body.get(name), int) or (name == "max_tokens" and body.get(name) is None):
                body[name] = min(body.get(name) or self.most_tokens, self.most_tokens)

    def judge(self, what: str, ask: Callable[[], Any]) -> int:
        """One request. Gives its status; 0 where there was none."""
        try:
            answer = ask()
        except (requests.RequestException, schemathesis.errors.SchemathesisError) as exc:
            self.wrong.append(f"{what}: {type(exc).__name__}: {str(exc)[:200]}")
            return 0
        status = int(answer.status_code)
        self.counted[status] += 1
        bare = answer.request.method == "HEAD"  # it has no body
        if status >= 500 and status != 501:
            self.wrong.append(f"{status} {what}: {answer.text[:300]}")
        elif status >= 400 and not bare and not _is_error(answer):
            self.wrong.append(f"{status} {what}: not this API's shape: {answer.text[:300]}")
        return status

    def require_well(self) -> None:
        """Nothing was wrong, and the server is there as before."""
        assert not self.wrong, "\n".join(self.wrong[:20])
        assert self.counted
        with Client(self.url.removesuffix("/v1")) as client:
            assert client.chat("xin chào", "echo").text == "xin chào"


def _is_error(answer: Any) -> bool:
    shape = shape_of(unquote(urlsplit(answer.request.url).path))
    try:
        return shape(json.loads(answer.content))
    except (ValueError, KeyError, TypeError, IndexError):
        return False
