from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from noibo.egress import Door
from noibo.errors import EgressRefused, SettingsError
from noibo.gateway.watching.collector import open_spans
from tests.running import RunningServer, run_noibo, until

pytestmark = pytest.mark.heavy  # a server of its own for each kind of test

CANARY = "Kanarienvogel"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER = 2  # kinds and states of the protocol
CLIENT_ERROR = 2


class Collector:
    """Takes spans as OTLP over HTTP has them, and keeps what was sent."""

    def __init__(self, address: str, status: int = 200) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                collector.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_port

    @property
    def spans(self) -> list[Span]:
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                assert attributes(resource.resource)["service.name"] == "noibo"
                found += [one for scope in resource.scope_spans for one in scope.spans]
        return found


def attributes(one: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in one.attributes}


@contextmanager
def collecting(address: str = "127.0.0.1", status: int = 200) -> Iterator[Collector]:
    collector = Collector(address, status)
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


@contextmanager
def traced(home: Path, url: str, **environ: str) -> Iterator[tuple[RunningServer, httpx2.Client]]:
    with (
        RunningServer(home, NOIBO_TELEMETRY_OTLP_ENDPOINT=url, **environ) as server,
        httpx2.Client(base_url=server.url, timeout=120) as client,
    ):
        yield server, client


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": [{"role": "user", "content": f"{CANARY} two"}], **more}


def test_a_request_is_a_span_by_the_conventions(home: Path, model_store: Path) -> None:
    with collecting() as collector:
        store = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_ENGINE_CTX_SIZE": "512"}
        with traced(home, f"http://127.0.0.1:{collector.port}", **store) as (_, client):
            sent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "spanned-1"}
            body = chat(model="smollm2:135m", max_tokens=3)
            used = client.post("/v1/chat/completions", json=body, headers=sent).json()["usage"]
            client.post("/v1/messages", json=chat(model=CANARY, max_tokens=2))
            client.post("/api/embed", json={"model": "echo", "input": CANARY})
            client.get("/v1/models", headers=sent)  # asks no model
        # What there is is sent before the server ends.
        chatted, refused, embedded = collector.spans
    assert chatted.name == "chat smollm2:135m"
    assert chatted.kind == SERVER
    assert (chatted.trace_id.hex(), chatted.parent_span_id.hex()) == (TRACE, PARENT)
    assert 0 < chatted.start_time_unix_nano < chatted.end_time_unix_nano
    said = attributes(chatted)
    assert said.pop("noibo.time_to_first_token") > 0
    assert said.pop("noibo.queue_wait") >= 0
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": "smollm2:135m",
        "gen_ai.response.model": "smollm2:135m",
        "gen_ai.usage.input_tokens": used["prompt_tokens"],
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": said["server.port"],
        "noibo.request_id": "spanned-1",
    }
    assert refused.name == "chat"
    assert refused.parent_span_id == b""
    assert refused.status.code == CLIENT_ERROR
    assert attributes(refused)["error.type"] == "model_not_found"
    assert embedded.name.split()[0] == "embeddings"
    for body_sent in collector.bodies:
        assert CANARY.encode() not in body_sent


def test_a_caller_that_does_not_sample_is_not_traced(home: Path) -> None:
    with collecting() as collector:
        with traced(home, f"http://127.0.0.1:{collector.port}/v1/traces") as (_, client):
            for parent in (f"00-{TRACE}-{PARENT}-00", f"00-{'0' * 32}-{PARENT}-00", "nonsense"):
                sent = {"traceparent": parent}
                client.post("/v1/chat/completions", json=chat(), headers=sent)
        assert len(collector.spans) == 2, "one of them has a parent, and that says no"
        assert not any(span.parent_span_id for span in collector.spans)


def test_the_log_names_the_trace(home: Path) -> None:
    with collecting() as collector:
        url = f"http://127.0.0.1:{collector.port}"
        with traced(home, url, NOIBO_LOG_FORMAT="json") as (server, client):
            sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            client.post("/v1/chat/completions", json=chat(), headers=sent)
            until(lambda: f'"trace_id":"{TRACE}"' in server.log.read_text(), "it is written down")


def test_a_collector_that_takes_nothing_harms_nobody(home: Path) -> None:
    with collecting(status=503) as collector:
        with traced(home, f"http://127.0.0.1:{collector.port}") as (server, client):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        assert collector.bodies
        assert "1 spans were not taken by the collector: it answered 503" in server.log.read_text()


def test_a_collector_elsewhere_is_reached_through_the_door(home: Path) -> None:
    own = own_address()
    with collecting(own) as collector:
        url = f"http://{own}:{collector.port}"
        with traced(home, url) as (_, client):
            client.post("/v1/chat/completions", json=chat())
        assert len(collector.spans) == 1
    journal = (home / "egress.jsonl").read_text()
    assert f'"purpose": "telemetry", "destination": "{url}", "method": "POST"' in journal


def own_address() -> str:
    """Of this machine, as others see it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine is on no network")
        return str(asking.getsockname()[0])


def test_offline_is_absolute_and_loopback_is_here(tmp_path: Path) -> None:
    door = Door(offline=True, record=tmp_path / "egress.jsonl")
    with pytest.raises(EgressRefused, match="offline"):
        open_spans("http://192.0.2.1:4318", door)
    here = open_spans("http://127.0.0.1:4318", door)
    assert here is not None
    here.close()
    assert open_spans("", door) is None


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_an_endpoint_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises((EgressRefused, SettingsError)):
        open_spans(url, Door())


def test_without_the_library_it_is_said_what_to_type(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "noibo.gateway.watching.spans", raising=False)
    with pytest.raises(SettingsError, match=r"opentelemetry.*pip install \"noibo\[otel\]\""):
        open_spans("http://127.0.0.1:4318", Door())


def test_serve_refuses_an_endpoint_that_it_may_not_reach(home: Path) -> None:
    environ = {"NOIBO_TELEMETRY_OTLP_ENDPOINT": "http://192.0.2.1:4318", "NOIBO_OFFLINE": "1"}
    done = run_noibo("serve", "--port", "0", home=home, **environ)
    assert done.returncode == 4
    assert "offline" in done.stderr
