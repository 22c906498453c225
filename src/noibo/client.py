"""The public client of a noibo server. The command line and the web app use nothing else.

    from noibo import Client

    with Client() as noibo:
        print(noibo.chat("Why is the sky blue?").text)
        for piece in noibo.stream("Count to ten."):
            print(piece, end="", flush=True)

`Client()` finds the server of this user: the one that runs now, else the address in the settings.
What every call sends and how its answer is read is said once, as a `Call`; `Client` and
`AsyncClient` only differ in how they wait.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from noibo import settings
from noibo.egress import Destination, Door, Purpose, is_loopback
from noibo.errors import RequestFailed, ServerUnreachable
from noibo.wire import sse
from noibo.wire.management import GUARD_HEADER, ROOT, STATE_FILE, Done, Status, WorkerRow
from noibo.wire.models import (
    CheckedRow,
    CheckEvents,
    CollectedRow,
    ModelList,
    ModelRow,
    ModelShown,
    ProgressRow,
    PullEvent,
    PullEvents,
    PullRow,
    RemovedRow,
    UsageRow,
)

T = TypeVar("T")
Messages = str | Sequence[dict[str, Any]]

# Answers may take as long as a model takes; connecting to this machine may not.
CONNECT_S = 5.0
SILENCE_S = 60.0  # a stream of progress says every ten seconds that it is alive
TIMEOUT = httpx2.Timeout(None, connect=CONNECT_S)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how its answer is read."""

    method: str
    path: str
    kind: type[T]
    body: dict[str, Any] | None = None
    patience_s: float | None = None  # for its answer

    @property
    def timeout(self) -> httpx2.Timeout:
        return httpx2.Timeout(self.patience_s, connect=CONNECT_S)

    def read(self, response: httpx2.Response) -> T:
        """The answer, or `RequestFailed`."""
        if response.status_code >= 400:
            raise failure(response.status_code, response.content)
        try:
            return msgspec.json.decode(response.content, type=self.kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise RequestFailed(
                f"{self.path} was not answered as noibo does",
                http_status=response.status_code,
                server_code="not_noibo",
            ) from exc


@dataclass(slots=True)
class Answer:
    """What a model said. `usage` and `timings` are as the engine reported them."""

    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)

    def add(self, event: dict[str, Any]) -> str:
        """Take one stream event (or a whole answer); returns the text that it added."""
        if "error" in event:
            raise _error_in_stream(event["error"])
        self.model = event.get("model") or self.model
        self.usage = event.get("usage") or self.usage
        self.timings = event.get("timings") or self.timings
        added = ""
        for choice in (event.get("choices") or [])[:1]:
            part = choice.get("delta") or choice.get("message") or choice
            added = part.get("content") or part.get("text") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        self.text += added
        return added


class _Calls:
    """Every call there is, as a value."""

    status = Call("GET", f"{ROOT}/status", Status, patience_s=5.0)  # else it is not noibo
    workers = Call("GET", f"{ROOT}/workers", list[WorkerRow])
    shutdown = Call("POST", f"{ROOT}/shutdown", Done)
    models = Call("GET", "/v1/models", dict[str, Any])
    ready = Call("GET", "/ready", dict[str, Any])

    @staticmethod
    def model(name: str) -> Call[dict[str, Any]]:
        return Call("GET", f"/v1/models/{quote(name, safe=':')}", dict[str, Any])

    @staticmethod
    def stop_worker(model: str) -> Call[Done]:
        return Call("POST", f"{ROOT}/workers/{quote(model, safe=':')}/stop", Done)

    @staticmethod
    def chat(said: Messages, model: str | None, fields: dict[str, Any]) -> Call[dict[str, Any]]:
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
        body = {"model": model or "", "messages": messages, "stream": False, **fields}
        return Call("POST", "/v1/chat/completions", dict[str, Any], body)

    @staticmethod
    def stream(said: Messages, model: str | None, fields: dict[str, Any]) -> Call[dict[str, Any]]:
        usage = {"stream_options": {"include_usage": True}}
        return _Calls.chat(said, model, usage | fields | {"stream": True})

    stored_models = Call("GET", f"{ROOT}/models", ModelList)
    pulls = Call("GET", f"{ROOT}/pulls", list[PullRow])
    store_usage = Call("GET", f"{ROOT}/store/usage", UsageRow)

    @staticmethod
    def show(name: str) -> Call[ModelShown]:
        return Call("GET", f"{ROOT}/models/{quote(name, safe=':')}", ModelShown)

    @staticmethod
    def remove(name: str) -> Call[RemovedRow]:
        return Call("DELETE", f"{ROOT}/models/{quote(name, safe=':')}", RemovedRow)

    @staticmethod
    def add(path: str, name: str | None) -> Call[ModelRow]:
        return Call("POST", f"{ROOT}/models/add", ModelRow, {"path": path, "name": name})

    @staticmethod
    def pull(model: str, name: str | None) -> Call[ModelRow]:
        body = {"model": model, "name": name, "stream": True}
        return Call("POST", f"{ROOT}/models/pull", ModelRow, body, SILENCE_S)

    @staticmethod
    def watch_pull(pull_id: str) -> Call[ModelRow]:
        path = f"{ROOT}/pulls/{quote(pull_id, safe='')}/events"
        return Call("GET", path, ModelRow, patience_s=SILENCE_S)

    @staticmethod
    def cancel_pull(pull_id: str) -> Call[PullRow]:
        return Call("DELETE", f"{ROOT}/pulls/{quote(pull_id, safe='')}", PullRow)

    @staticmethod
    def check_store(repair: bool) -> Call[CheckedRow]:
        return Call("POST", f"{ROOT}/store/check", CheckedRow, {"repair": repair}, SILENCE_S)

    @staticmethod
    def collect_garbage(partial: bool) -> Call[CollectedRow]:
        return Call("POST", f"{ROOT}/store/gc", CollectedRow, {"partial": partial})


class _Stream:
    """Events out of bytes, for both clients."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._buffer = sse.EventBuffer()
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        for event in sse.events(self._buffer.feed(chunk)):
            data = sse.data(event)
            self._ended = self._ended or data == sse.DONE
            if data and data != sse.DONE:
                try:
                    added = self._answer.add(msgspec.json.decode(data))
                except (ValueError, TypeError, AttributeError, RecursionError) as exc:
                    raise _broken("An event of the answer cannot be read.") from exc
                if added:
                    yield added

    def end(self) -> None:
        """Raise unless the stream said that it was whole."""
        if not self._ended:
            raise _broken("The answer broke off.")


class _Steps(Generic[T]):
    """Progress and, last, what came of it, out of bytes; an error is raised. For both clients."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._buffer = sse.EventBuffer()
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[ProgressRow | T]:
        for event in sse.events(self._buffer.feed(chunk)):
            name, data = sse.name(event), sse.data(event)
            try:
                if name == "error":
                    raise failure(502, data)
                if name == "progress":
                    yield msgspec.json.decode(data, type=ProgressRow)
                if name == "done":
                    self._ended = True
                    yield msgspec.json.decode(data, type=self._kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise _broken("An event of the answer cannot be read.") from exc

    def end(self) -> None:
        """Raise unless the stream said that it was whole."""
        if not self._ended:
            raise _broken("The answer broke off.")


class _Address:
    """Where the server is and what is sent along with every request."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        found = base_url or find_server(settings.load())
        self.base_url = found.rstrip("/").removesuffix("/v1")
        if not is_loopback(self.base_url):
            tree = settings.load()
            door = Door(offline=tree.offline, record=tree.home / "egress.jsonl")
            destination = Destination.of(self.base_url)
            door.open(Purpose.NOIBO_SERVER, [destination]).check(self.base_url, "CONNECT")
        self.headers = {GUARD_HEADER: "1"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"

    def options(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "headers": self.headers,
            "timeout": TIMEOUT,
            "trust_env": False,
        }

    def unreachable(self, exc: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"No noibo server answers at {self.base_url} ({type(exc).__name__}).",
            next_step="Start one with `noibo serve`.",
        )


class Client:
    """Talks to a noibo server and waits for it."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self._address = _Address(base_url, api_key)
        self._http = httpx2.Client(**self._address.options())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._address.base_url

    def _send(self, call: Call[T]) -> T:
        try:
            return call.read(
                self._http.request(call.method, call.path, json=call.body, timeout=call.timeout)
            )
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    def chat(self, said: Messages, model: str | None = None, **fields: Any) -> Answer:
        """One answer, whole. `fields` are OpenAI's: temperature, max_tokens, seed …"""
        answer = Answer()
        answer.add(self._send(_Calls.chat(said, model, fields | {"stream": False})))
        return answer

    def stream(
        self, said: Messages, model: str | None = None, answer: Answer | None = None, **fields: Any
    ) -> Iterator[str]:
        """The pieces of one answer as they come. `answer`, if given, is filled on the way."""
        call = _Calls.stream(said, model, fields)
        reader = _Stream(answer or Answer())
        try:
            with self._http.stream(call.method, call.path, json=call.body) as response:
                if response.status_code >= 400:
                    raise failure(response.status_code, response.read())
                for chunk in response.iter_bytes():
                    yield from reader.feed(chunk)
                reader.end()
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    def status(self) -> Status:
        """Which noibo answers."""
        return self._send(_Calls.status)

    def ready(self) -> dict[str, Any]:
        """Raises `RequestFailed` with the reason while the server is not ready."""
        return self._send(_Calls.ready)

    def models(self) -> list[str]:
        """Names of the models that can be asked."""
        return [card["id"] for card in self._send(_Calls.models)["data"]]

    def model(self, name: str) -> str:
        """A model's full name, from that or a shorter one."""
        return str(self._send(_Calls.model(name))["id"])

    def workers(self) -> list[WorkerRow]:
        """The models that are loaded."""
        return self._send(_Calls.workers)

    def stop_worker(self, model: str) -> Done:
        """Unload one model."""
        return self._send(_Calls.stop_worker(model))

    def shutdown(self) -> Done:
        """Stop the server; answers under way may finish."""
        return self._send(_Calls.shutdown)

    # ── the models of the server's machine ──────────────────────────────────

    def _follow(self, call: Call[T]) -> Iterator[ProgressRow | T]:
        reader = _Steps(call.kind)
        try:
            with self._http.stream(
                call.method, call.path, json=call.body, timeout=call.timeout
            ) as response:
                if response.status_code >= 400:
                    raise failure(response.status_code, response.read())
                for chunk in response.iter_bytes():
                    yield from reader.feed(chunk)
                reader.end()
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    def stored_models(self) -> ModelList:
        """The models that can be used, and what is wrong with the others."""
        return self._send(_Calls.stored_models)

    def show(self, name: str) -> ModelShown:
        """All that is known of one model."""
        return self._send(_Calls.show(name))

    def add(self, path: str, name: str | None = None) -> ModelRow:
        """Use a file or a folder of the server's machine where it lies."""
        return self._send(_Calls.add(path, name))

    def remove(self, name: str) -> RemovedRow:
        """Remove a model; says what that freed."""
        return self._send(_Calls.remove(name))

    def pull(self, model: str, name: str | None = None) -> PullEvents:
        """Fetch a model: how it goes, and in the end the model. To leave does not stop it."""
        return self._follow(_Calls.pull(model, name))

    def watch_pull(self, pull_id: str) -> PullEvents:
        """A pull that runs or has just ended, from its beginning."""
        return self._follow(_Calls.watch_pull(pull_id))

    def pulls(self) -> list[PullRow]:
        """Pulls that run or ended lately."""
        return self._send(_Calls.pulls)

    def cancel_pull(self, pull_id: str) -> PullRow:
        """Stop a pull. What is here is kept: the same pull goes on there."""
        return self._send(_Calls.cancel_pull(pull_id))

    def check_store(self, repair: bool = False) -> CheckEvents:
        """Read every file and compare: how it goes, and in the end what was found. To leave
        stops it. `repair`: fetch again what is bad."""
        return self._follow(_Calls.check_store(repair))

    def collect_garbage(self, partial: bool = False) -> CollectedRow:
        """Remove what nothing needs; with `partial` downloads too that were not finished."""
        return self._send(_Calls.collect_garbage(partial))

    def store_usage(self) -> UsageRow:
        """Where the store's bytes are."""
        return self._send(_Calls.store_usage)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same as `Client`, on an event loop."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self._address = _Address(base_url, api_key)
        self._http = httpx2.AsyncClient(**self._address.options())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._address.base_url

    async def _send(self, call: Call[T]) -> T:
        try:
            return call.read(
                await self._http.request(
                    call.method, call.path, json=call.body, timeout=call.timeout
                )
            )
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    async def chat(self, said: Messages, model: str | None = None, **fields: Any) -> Answer:
        """One answer, whole. `fields` are OpenAI's: temperature, max_tokens, seed …"""
        answer = Answer()
        answer.add(await self._send(_Calls.chat(said, model, fields | {"stream": False})))
        return answer

    async def stream(
        self, said: Messages, model: str | None = None, answer: Answer | None = None, **fields: Any
    ) -> AsyncIterator[str]:
        """The pieces of one answer as they come. `answer`, if given, is filled on the way."""
        call = _Calls.stream(said, model, fields)
        reader = _Stream(answer or Answer())
        try:
            async with self._http.stream(call.method, call.path, json=call.body) as response:
                if response.status_code >= 400:
                    raise failure(response.status_code, await response.aread())
                async for chunk in response.aiter_bytes():
                    for piece in reader.feed(chunk):
                        yield piece
                reader.end()
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    async def status(self) -> Status:
        """Which noibo answers."""
        return await self._send(_Calls.status)

    async def ready(self) -> dict[str, Any]:
        """Raises `RequestFailed` with the reason while the server is not ready."""
        return await self._send(_Calls.ready)

    async def models(self) -> list[str]:
        """Names of the models that can be asked."""
        return [card["id"] for card in (await self._send(_Calls.models))["data"]]

    async def model(self, name: str) -> str:
        """A model's full name, from that or a shorter one."""
        return str((await self._send(_Calls.model(name)))["id"])

    async def workers(self) -> list[WorkerRow]:
        """The models that are loaded."""
        return await self._send(_Calls.workers)

    async def stop_worker(self, model: str) -> Done:
        """Unload one model."""
        return await self._send(_Calls.stop_worker(model))

    async def shutdown(self) -> Done:
        """Stop the server; answers under way may finish."""
        return await self._send(_Calls.shutdown)

    # ── the models of the server's machine ──────────────────────────────────

    async def _follow(self, call: Call[T]) -> AsyncIterator[ProgressRow | T]:
        reader = _Steps(call.kind)
        try:
            async with self._http.stream(
                call.method, call.path, json=call.body, timeout=call.timeout
            ) as response:
                if response.status_code >= 400:
                    raise failure(response.status_code, await response.aread())
                async for chunk in response.aiter_bytes():
                    for step in reader.feed(chunk):
                        yield step
                reader.end()
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    async def stored_models(self) -> ModelList:
        """The models that can be used, and what is wrong with the others."""
        return await self._send(_Calls.stored_models)

    async def show(self, name: str) -> ModelShown:
        """All that is known of one model."""
        return await self._send(_Calls.show(name))

    async def add(self, path: str, name: str | None = None) -> ModelRow:
        """Use a file or a folder of the server's machine where it lies."""
        return await self._send(_Calls.add(path, name))

    async def remove(self, name: str) -> RemovedRow:
        """Remove a model; says what that freed."""
        return await self._send(_Calls.remove(name))

    def pull(self, model: str, name: str | None = None) -> AsyncIterator[PullEvent]:
        """Fetch a model: how it goes, and in the end the model. To leave does not stop it."""
        return self._follow(_Calls.pull(model, name))

    def watch_pull(self, pull_id: str) -> AsyncIterator[PullEvent]:
        """A pull that runs or has just ended, from its beginning."""
        return self._follow(_Calls.watch_pull(pull_id))

    async def pulls(self) -> list[PullRow]:
        """Pulls that run or ended lately."""
        return await self._send(_Calls.pulls)

    async def cancel_pull(self, pull_id: str) -> PullRow:
        """Stop a pull. What is here is kept: the same pull goes on there."""
        return await self._send(_Calls.cancel_pull(pull_id))

    def check_store(self, repair: bool = False) -> AsyncIterator[ProgressRow | CheckedRow]:
        """Read every file and compare: how it goes, and in the end what was found. To leave
        stops it. `repair`: fetch again what is bad."""
        return self._follow(_Calls.check_store(repair))

    async def collect_garbage(self, partial: bool = False) -> CollectedRow:
        """Remove what nothing needs; with `partial` downloads too that were not finished."""
        return await self._send(_Calls.collect_garbage(partial))

    async def store_usage(self) -> UsageRow:
        """Where the store's bytes are."""
        return await self._send(_Calls.store_usage)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()


def find_server(tree: settings.Settings) -> str:
    """Address of this user's server: of the one that runs, else the one in the settings."""
    try:
        state = msgspec.json.decode((tree.home / STATE_FILE).read_bytes())
        os.kill(int(state["pid"]), 0)
        return str(state["url"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError, OverflowError):
        return tree.url


def failure(status: int, body: bytes) -> RequestFailed:
    """The error that a server answered with."""
    try:
        found = msgspec.json.decode(body)
        error = found.get("error") or {"message": found.get("reason") or found.get("status")}
        message, code = str(error.get("message")), str(error.get("code") or "")
        next_step = str(error.get("next_step") or "")
    except (ValueError, AttributeError, RecursionError):
        message, code = body[:120].decode(errors="replace") or "no reason given", ""
        next_step = ""
    said = message.removesuffix(next_step).rstrip() or message
    return RequestFailed(said, http_status=status, server_code=code, next_step=next_step)


def _broken(message: str) -> RequestFailed:
    return RequestFailed(message, http_status=502, server_code="broken_stream")


def _error_in_stream(error: Any) -> RequestFailed:
    message = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    return RequestFailed(message, http_status=502, server_code=code)
