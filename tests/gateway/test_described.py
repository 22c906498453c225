"""The OpenAPI document says what there is: every route that serves something, and its body."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
from fastapi.routing import iter_route_contexts

from noibo.gateway.app import create_app
from noibo.gateway.bodies import BODIES
from tests.running import RunningServer

APP = create_app(None)  # type: ignore[arg-type] # its services are for requests
PATHS = APP.openapi()["paths"]
BODYLESS = {
    "/noibo/v1/shutdown",
    "/noibo/v1/workers/{model}/stop",
    "/v1/responses/{name}/cancel",
    "/v1/batches/{name}/cancel",
}


def routes() -> Iterator[tuple[str, str]]:
    """Every route of the app, in the document's words."""
    for route in iter_route_contexts(APP.routes):
        for method in set(route.methods or ()) - {"HEAD"}:
            yield method.lower(), re.sub(r":\w+}", "}", str(route.path))


def test_every_route_is_in_the_document_or_only_refuses(real_server: RunningServer) -> None:
    left_out = [one for one in routes() if one[0] not in PATHS.get(one[1], {})]
    assert ("get", "/noibo/v1/openapi.json") in left_out
    with httpx2.Client(base_url=real_server.url, timeout=30) as http:
        for method, path in left_out:
            if path != APP.openapi_url:
                answer = http.request(method, re.sub("{.*}", "x", path))
                assert answer.status_code == 501, (method, path)


def test_every_post_says_what_it_takes() -> None:
    posts = {path: told["post"] for path, told in PATHS.items() if "post" in told}
    assert {path for path, told in posts.items() if "requestBody" not in told} == BODYLESS
    for path, body in BODIES.items():
        told = PATHS[path].get("post") or PATHS[path]["delete"]
        schema = told["requestBody"]["content"][body.media]["schema"]
        assert set(schema.get("properties", ())) == set(body.types), path
