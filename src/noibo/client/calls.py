"""Every call there is, as a value: what is sent, and how its answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from noibo.client.answers import failure
from noibo.errors import RequestFailed
from noibo.wire.access import KeyRow, KeyWanted, NewKey, SessionRow, UserRow
from noibo.wire.catalog import CatalogRow, SearchRow, Use
from noibo.wire.engines import Engines
from noibo.wire.importing import ImportedRow
from noibo.wire.management import ROOT, Done, QueueRow, Status, WorkerRow
from noibo.wire.models import (
    CheckedRow,
    CollectedRow,
    ModelList,
    ModelRow,
    ModelShown,
    PullRow,
    RemovedRow,
    UsageRow,
)
from noibo.wire.usage import By, UsageReport

T = TypeVar("T")
Messages = str | Sequence[dict[str, Any]]

# Answers may take as long as a model takes; connecting to this machine may not.
CONNECT_S = 5.0
SILENCE_S = 60.0  # a stream of progress says every ten seconds that it is alive


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how its answer is read."""

    method: str
    path: str
    kind: type[T]
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    patience_s: float | None = None  # for its answer

    def options(self) -> dict[str, Any]:
        """For httpx2's `request` and `stream`."""
        timeout = httpx2.Timeout(self.patience_s, connect=CONNECT_S)
        return {"json": self.body, "params": self.query, "timeout": timeout}

    def read(self, response: httpx2.Response) -> T:
        """The answer, or `RequestFailed`."""
        if response.status_code >= 400:
            raise failure(response.status_code, response.content, response.headers)
        try:
            return msgspec.json.decode(response.content, type=self.kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise RequestFailed(
                f"{self.path} was not answered as noibo does",
                http_status=response.status_code,
                server_code="not_noibo",
            ) from exc


class Calls:
    """What a server can be asked about itself and its models."""

    status = Call("GET", f"{ROOT}/status", Status, patience_s=5.0)  # else it is not noibo
    engines = Call("GET", f"{ROOT}/engines", Engines, patience_s=SILENCE_S)
    workers = Call("GET", f"{ROOT}/workers", list[WorkerRow], patience_s=SILENCE_S)
    queue = Call("GET", f"{ROOT}/queue", QueueRow, patience_s=SILENCE_S)
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
    def load(model: str, keep_alive: float | str | None, pinned: bool | None) -> Call[WorkerRow]:
        body = {"keep_alive": keep_alive, "pinned": pinned}
        return Call("POST", f"{ROOT}/workers/{quote(model, safe=':')}/load", WorkerRow, body)

    @staticmethod
    def pin(model: str, pinned: bool) -> Call[WorkerRow]:
        path = f"{ROOT}/workers/{quote(model, safe=':')}/pin"
        return Call("POST", path, WorkerRow, {"pinned": pinned})

    @staticmethod
    def chat(said: Messages, model: str | None, fields: dict[str, Any]) -> Call[dict[str, Any]]:
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
        body = {"model": model or "", "messages": messages, "stream": False, **fields}
        return Call("POST", "/v1/chat/completions", dict[str, Any], body)

    @staticmethod
    def stream(said: Messages, model: str | None, fields: dict[str, Any]) -> Call[dict[str, Any]]:
        usage = {"stream_options": {"include_usage": True}}
        return Calls.chat(said, model, usage | fields | {"stream": True})

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
        return Call("POST", f"{ROOT}/models/pull", ModelRow, body, patience_s=SILENCE_S)

    @staticmethod
    def watch_pull(pull_id: str) -> Call[ModelRow]:
        path = f"{ROOT}/pulls/{quote(pull_id, safe='')}/events"
        return Call("GET", path, ModelRow, patience_s=SILENCE_S)

    @staticmethod
    def cancel_pull(pull_id: str) -> Call[PullRow]:
        return Call("DELETE", f"{ROOT}/pulls/{quote(pull_id, safe='')}", PullRow)

    @staticmethod
    def check_store(repair: bool) -> Call[CheckedRow]:
        return Call(
            "POST", f"{ROOT}/store/check", CheckedRow, {"repair": repair}, patience_s=SILENCE_S
        )

    @staticmethod
    def collect_garbage(partial: bool) -> Call[CollectedRow]:
        return Call("POST", f"{ROOT}/store/gc", CollectedRow, {"partial": partial})

    @staticmethod
    def catalog(family: str | None, use: Use | None) -> Call[list[CatalogRow]]:
        wanted = {"family": family, "use": use}
        query = {name: value for name, value in wanted.items() if value is not None}
        return Call("GET", f"{ROOT}/catalog", list[CatalogRow], query=query)

    @staticmethod
    def search(words: str, hub: bool) -> Call[SearchRow]:
        query = {"words": words, "hub": "true" if hub else "false"}
        return Call("GET", f"{ROOT}/search", SearchRow, query=query)

    @staticmethod
    def usage(by: By, **said: str) -> Call[UsageReport]:
        query = {"by": by, **{name: value for name, value in said.items() if value}}
        return Call("GET", f"{ROOT}/usage", UsageReport, query=query)

    @staticmethod
    def import_models(folders: Sequence[str], dry_run: bool, prune: bool) -> Call[ImportedRow]:
        body = {"folders": list(folders), "dry_run": dry_run, "prune": prune}
        return Call("POST", f"{ROOT}/models/import", ImportedRow, body, patience_s=SILENCE_S)

    who_am_i = Call("GET", f"{ROOT}/session", SessionRow)
    keys = Call("GET", f"{ROOT}/keys", list[KeyRow])
    users = Call("GET", f"{ROOT}/users", list[UserRow])

    @staticmethod
    def make_key(wanted: KeyWanted) -> Call[NewKey]:
        return Call("POST", f"{ROOT}/keys", NewKey, msgspec.to_builtins(wanted))

    @staticmethod
    def revoke_key(key: str) -> Call[KeyRow]:
        return Call("DELETE", f"{ROOT}/keys/{quote(key, safe='')}", KeyRow)

    @staticmethod
    def add_user(name: str, password: str, role: str) -> Call[UserRow]:
        body = {"name": name, "password": password, "role": role}
        return Call("POST", f"{ROOT}/users", UserRow, body)

    @staticmethod
    def change_user(name: str, password: str | None, role: str | None) -> Call[UserRow]:
        body = {"password": password, "role": role}
        return Call("PATCH", f"{ROOT}/users/{quote(name, safe='')}", UserRow, body)

    @staticmethod
    def remove_user(name: str) -> Call[Done]:
        return Call("DELETE", f"{ROOT}/users/{quote(name, safe='')}", Done)
