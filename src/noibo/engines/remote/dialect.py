"""How a server elsewhere is asked: as OpenAI's API is, and as vLLM and llama-server are beyond it.

noibo asks by paths and fields of its own engines. A dialect says what of that a server gets, where,
and how its answer is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from noibo.engines import line
from noibo.engines.engine import plain
from noibo.engines.remote.answer import Document, Told, itself, refusal
from noibo.errors import NotSupported, UpstreamFailed
from noibo.model_settings import FIRST_THERE
from noibo.wire.body import UNREADABLE

# Asks what has to be known first: where, and with which body; an empty one gets.
Fetch: TypeAlias = Callable[[str, bytes], Awaitable[line.Response]]
NO_SUCH_CALL: Final = frozenset({405, 501})  # and a 404 that says so
_COUNT: Final = "/v1/chat/completions/input_tokens"
OF_TOKENS: Final = frozenset({"/tokenize", "/detokenize", "/apply-template", _COUNT})
# How a 404 in OpenAI's shape begins where it is of the address: llama-server's, and OpenAI's own.
_OF_NO_CALL: Final = ("File Not Found", "Invalid URL")


@dataclass(slots=True)
class Question:
    """What a server is sent, below its address. `told` tells its answer; `otherwise` is given a
    status and what was said with it, and says what to ask instead, if anything."""

    path: str
    body: bytes
    told: Callable[[line.Response], line.Response] = itself
    otherwise: Callable[[int, bytes], Question | None] | None = None


class Dialect(Protocol):
    """One for each model that is reached."""

    @property
    def looks(self) -> str:
        """The lightest thing to get there."""

    async def question(
        self, path: str, fields: Mapping[str, Any], fetch: Fetch, keep_alive: float | None
    ) -> Question:
        """What noibo asks, as it is asked there. Raises `InvalidRequest` or `NotSupported`."""

    def address(self, url: str, path: str) -> str:
        """Where it is asked."""

    def found(self, said: Any) -> str:
        """What was got there, in a few words."""


class OpenAi:
    """OpenAI's API: what goes there is as it came, but for the model's name. Calls for tokens it
    has not: llama-server has them, and vLLM in other words. What both know goes to both. `missing`:
    calls that the server was found not to have. A `model` of `*` is the first that it lists."""

    looks = "/v1/models"

    def __init__(self, model: str) -> None:
        self.model = model
        self.missing: set[str] = set()
        self._named = msgspec.Raw(msgspec.json.encode(model))

    async def question(
        self, path: str, fields: Mapping[str, Any], fetch: Fetch, keep_alive: float | None
    ) -> Question:
        if self.model == FIRST_THERE:
            self.model = await _first_there(fetch)
            self._named = msgspec.Raw(msgspec.json.encode(self.model))
        named = {**fields, "model": self._named}
        if path not in OF_TOKENS:
            return Question(path, msgspec.json.encode(named))
        if path in self.missing:
            raise NotSupported(_cannot(path))
        return self._of_tokens(path, {name: plain(value) for name, value in named.items()})

    def address(self, url: str, path: str) -> str:
        """OpenAI's paths begin where the address ends; others at its root."""
        if path.startswith("/v1/"):
            return url + path.removeprefix("/v1")
        return url.removesuffix("/v1") + path

    def found(self, said: Any) -> str:
        names = [str(one["id"]) for one in said["data"]]
        known = self.model in {*names, FIRST_THERE}
        there = "" if known or not names else f", {self.model} not among them"
        return f"{len(names)} model{'s' * (len(names) != 1)}{there}"

    def _of_tokens(self, path: str, fields: Mapping[str, Any]) -> Question:
        if path == "/tokenize":
            return self._question(path, path, {**fields, **_for_vllm(fields)}, _tokens)
        if path == "/detokenize":
            return self._question(path, path, fields, _text)
        if path == "/apply-template":
            return self._question(path, path, fields, lambda said: {"prompt": said["prompt"]})
        asked = {**fields, "add_generation_prompt": True}
        vllms = self._question(
            path, "/tokenize", asked, lambda said: {"input_tokens": said["count"]}
        )

        def otherwise(status: int, said: bytes) -> Question | None:
            return vllms if _has_no_call(status, said) else None

        plainly = self._question(path, path, fields, lambda said: said)
        return replace(plainly, otherwise=otherwise)

    def _question(
        self, path: str, asked: str, fields: Mapping[str, Any], tell: Callable[[Any], Any]
    ) -> Question:
        """`path` as noibo calls it, `asked` as it is called there."""

        def otherwise(status: int, said: bytes) -> Question | None:
            if _has_no_call(status, said):
                self.missing.add(path)
            return None

        def told(answer: line.Response) -> line.Response:
            if answer.status >= 400 and path in self.missing:
                answer.close()
                return refusal(501, _cannot(path), "not_supported")
            return answer if answer.status != 200 else Told(answer, Document(tell))

        return Question(asked, msgspec.json.encode(fields), told, otherwise)


async def _first_there(fetch: Fetch) -> str:
    """The name of the first model that a server lists."""
    async with await fetch(OpenAi.looks, b"") as response:
        said = await response.read()
    try:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        return str(msgspec.json.decode(said)["data"][0]["id"])
    except (*UNREADABLE, LookupError, TypeError, ValueError) as exc:
        raise UpstreamFailed(
            f"The server there lists no model that could be asked ({exc}).",
            next_step="See what it serves at its /v1/models, or name the model in noibo.toml.",
        ) from exc


def _cannot(path: str) -> str:
    return (
        f"The model is at another server, which has no {path}: it cannot be asked to tokenise. "
        "vLLM and llama-server have that call, OpenAI's API has not."
    )


def _has_no_call(status: int, said: bytes) -> bool:
    """Whether an answer means that there is no such call, and not that there is no such model: of
    that a 404 in OpenAI's shape tells."""
    if status != 404:
        return status in NO_SUCH_CALL
    try:
        found = msgspec.json.decode(said)
    except UNREADABLE:
        return True
    error = found.get("error", found) if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return not isinstance(message, str) or message.startswith(_OF_NO_CALL)


def _for_vllm(fields: Mapping[str, Any]) -> dict[str, Any]:
    content = fields.get("content", "")
    more: dict[str, Any] = {"add_special_tokens": bool(fields.get("add_special"))}
    more |= {"prompt": content} if isinstance(content, str) else {}
    return more | ({"return_token_strs": True} if fields.get("with_pieces") else {})


def _tokens(said: Any) -> Any:
    """llama-server's answer; vLLM's has the pieces beside the ids."""
    pieces = said.get("token_strs")
    if not pieces:
        return {"tokens": said["tokens"]}
    both = zip(said["tokens"], pieces, strict=True)
    return {"tokens": [{"id": token, "piece": piece} for token, piece in both]}


def _text(said: Any) -> Any:
    return {"content": said.get("content", said.get("prompt"))}
