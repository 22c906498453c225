"""Where a request went, in words that do not depend on what was sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from starlette.routing import compile_path

NOWHERE: Final = "none"  # there is no such route
OTHER_METHOD: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OURS: Final = frozenset({"/", "/health", "/ready", "/v1/health", "/metrics"})
_APIS: Final = {
    "/noibo/": "noibo",
    "/api/": "ollama",
    "/v1/messages": "anthropic",
    "/v1/rerank": "llama",
    "/v1/": "openai",
}


class Places:
    """The templates of an app's routes, found by the path alone: also of what is refused before a
    route is looked for."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._plain: dict[str, str] = {}
        self._with_names: list[tuple[re.Pattern[str], str]] = []
        for template in dict.fromkeys(templates):
            if "{" in template:
                self._with_names.append((compile_path(template)[0], template))
            else:
                self._plain[template] = template

    def find(self, path: str) -> str:
        """`/v1/responses/{name}`; `none` for what is no route."""
        return self._plain.get(path) or next(
            (template for rule, template in self._with_names if rule.match(path)), NOWHERE
        )


def method_of(method: str) -> str:
    """The method; what is none is not repeated."""
    return method if method in _METHODS else OTHER_METHOD


_KNOWN: Final[dict[str, str]] = {}  # templates are as many as there are routes


def api_of(route: str) -> str:
    """Whose API the route is of: openai, anthropic, ollama, llama or noibo."""
    if (known := _KNOWN.get(route)) is None:
        known = _KNOWN[route] = _api_of(route)
    return known


def _api_of(route: str) -> str:
    if route == NOWHERE:
        return NOWHERE
    if route in _OURS:
        return "noibo"
    found = (api for beginning, api in _APIS.items() if route.startswith(beginning))
    return next(found, "llama")  # whose routes stand at the root
