"""llama-server's own routes, for its clients: llama.vim, editors, scripts.

Each takes a `model` in its body or in its address, as llama-server does when it serves several;
without one it is the default model. What asks a model loads it, as a first chat does; what only
looks at slots does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from noibo.engines.engine import Verb
from noibo.engines.upstream import Upstream
from noibo.engines.worker import State, Worker
from noibo.errors import EngineRefused, InvalidRequest, NotSupported
from noibo.gateway import pipeline
from noibo.gateway.callers import Caller
from noibo.gateway.embedding import require_known
from noibo.gateway.inquiry import Inquiry, Told
from noibo.gateway.llama.filling import Filling
from noibo.gateway.llama.native import NativeRelay
from noibo.gateway.llama.reranking import rank
from noibo.gateway.openai import routes
from noibo.gateway.reading import read
from noibo.gateway.services import Services, services_of
from noibo.wire import infill, llama_server, openai, rerank
from noibo.wire.body import field

router = APIRouter(tags=["llama-server"])
_VOICE: Final = llama_server.Voice()

# ── generating ──────────────────────────────────────────────────────────────


@router.post("/completion")
@router.post("/completions")
async def complete(request: Request) -> Response:
    """Continue a text, tokens, or both mixed: llama-server's fields, llama-server's answer."""
    return await _generate(request, "/completion")


@router.post("/infill")
async def fill_in(request: Request) -> Response:
    """What stands between a prefix and a suffix, by a model that was trained for it."""
    return await _generate(request, "/infill")


async def _generate(request: Request, path: str) -> Response:
    services = services_of(request)
    caller = Caller.of(request)
    asked = await read(request, partial(pipeline.Request.parse, path, caller=caller))
    asked = replace(asked, model=asked.model or request.query_params.get("model", ""))
    if path == "/infill":
        infill.check(asked.fields)
        return Filling(services, asked)
    return NativeRelay(services, asked)


class _AsPrefixed(Response):
    """What the same path answers with `/v1` before it."""

    def __init__(self) -> None:
        # Not Response's own __init__: there is no body yet. FastAPI looks at these two.
        self.background = None
        self.raw_headers = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = "/v1" + scope["path"]
        await scope["app"]({**scope, "path": path, "raw_path": path.encode()}, receive, send)


@router.post("/chat/completions")
@router.post("/responses")
@router.post("/responses/input_tokens")
@router.post("/audio/transcriptions", include_in_schema=False)  # a refusal
async def prefixed() -> Response:
    """As with `/v1` before it."""
    return _AsPrefixed()


# ── ranking ─────────────────────────────────────────────────────────────────


@router.post("/rerank")
@router.post("/reranking")
@router.post("/v1/rerank")
@router.post("/v1/reranking")
async def rerank_documents(request: Request) -> Response:
    """Which documents answer a query best, by a model that ranks."""
    inquiry = await Inquiry.read(request)
    services = inquiry.services
    model = await services.resolve(inquiry.model)
    if services.supervisor.engine(model.engine).foreign:
        return inquiry.handed_on("/v1/rerank", model)
    asked = await inquiry.parsed(rerank.parse)

    async def work(told: Told) -> tuple[str, Any]:
        return await rank(inquiry, asked, told)

    return inquiry.once(openai.Voice(), work)


# ── tokens and templates ────────────────────────────────────────────────────


@router.post("/tokenize")
async def tokenise(request: Request) -> Response:
    """Token ids of a text."""
    inquiry = await Inquiry.read(request)
    fields = inquiry.fields
    content = field(fields, "content", str | list[int | str], "")
    for name in ("add_special", "parse_special", "with_pieces"):
        field(fields, name, bool)

    async def question(upstream: Upstream) -> Any:
        if isinstance(content, list):
            require_known(content, "content", upstream.worker.model)
        return await upstream.ask(Verb.TOKENISE, "/tokenize", fields)

    return inquiry.asked(_VOICE, Verb.TOKENISE, question)


@router.post("/detokenize")
async def detokenise(request: Request) -> Response:
    """The text of token ids."""
    inquiry = await Inquiry.read(request)
    tokens = field(inquiry.fields, "tokens", list[int], [])
    if any(token < 0 for token in tokens):
        raise InvalidRequest("tokens has a negative token id.", param="tokens")

    async def question(upstream: Upstream) -> Any:
        require_known(tokens, "tokens", upstream.worker.model)
        return await upstream.ask(Verb.TOKENISE, "/detokenize", inquiry.fields)

    return inquiry.asked(_VOICE, Verb.TOKENISE, question)


@router.post("/apply-template")
async def apply_template(request: Request) -> Response:
    """The text that a chat becomes by the model's template."""
    return await _of_a_chat(request, "/apply-template")


@router.post("/chat/completions/input_tokens")
@router.post("/v1/chat/completions/input_tokens")
async def count_tokens(request: Request) -> Response:
    """How many tokens a chat has."""
    return await _of_a_chat(request, "/v1/chat/completions/input_tokens")


async def _of_a_chat(request: Request, path: str) -> Response:
    inquiry = await Inquiry.read(request)
    field(inquiry.fields, "messages", list[dict[str, Any]])

    async def work(told: Told) -> tuple[str, Any]:
        asked = inquiry.errand(Verb.TOKENISE)
        return await inquiry.services.pipeline.ask_of_chat(asked, path, inquiry.fields, told)

    return inquiry.once(_VOICE, work)


# ── looking ─────────────────────────────────────────────────────────────────


@router.get("/props")
async def show_properties(request: Request) -> Response:
    """What a model is set to; it is loaded for that, unless `autoload=false`."""
    inquiry = Inquiry.look(request)
    services = inquiry.services
    model = await services.resolve(inquiry.model)
    autoload = request.query_params.get("autoload", "true") not in {"false", "0"}
    if not autoload and _loaded(services, model.name) is None:
        raise InvalidRequest(
            f"{model.name} is not loaded.", param="model", next_step="Leave out autoload=false."
        )
    return inquiry.asked(_VOICE, Verb.TOKENISE, lambda upstream: upstream.look("/props"))


@router.get("/slots")
async def show_slots(request: Request) -> Response:
    """The slots of a loaded model, without anybody's words; of one that is not, none."""
    inquiry = Inquiry.look(request)
    services = inquiry.services
    model = await services.resolve(inquiry.model)
    worker = _loaded(services, model.name)

    async def work(told: Told) -> tuple[str, Any]:
        if worker is None:
            return model.name, []
        slots = await services.pipeline.upstream(worker).look("/slots")
        if request.query_params.get("fail_on_no_slot") and _all_busy(slots):
            raise EngineRefused("no slot available", status=503, kind="unavailable_error")
        return model.name, llama_server.wordless(slots) or []

    return inquiry.once(_VOICE, work)


@router.get("/lora-adapters")
async def list_adapters(request: Request) -> Response:
    """The adapters of a model and their scales."""
    inquiry = Inquiry.look(request)
    return inquiry.asked(_VOICE, Verb.TOKENISE, lambda upstream: upstream.look("/lora-adapters"))


def _all_busy(slots: Any) -> bool:
    return isinstance(slots, list) and all(slot.get("is_processing") for slot in slots)


def _loaded(services: Services, name: str) -> Worker | None:
    """The worker of a model that chats, or else another of it."""
    found = [w for w in services.supervisor.workers() if w.model.name == name]
    ready = [worker for worker in found if worker.state is State.READY]
    return min(ready, key=lambda worker: worker.model.verb is not Verb.GENERATE, default=None)


@router.get("/v1/health")
async def alive() -> dict[str, str]:
    """The server runs."""
    return {"status": "ok"}


@router.get("/models")
async def models(request: Request) -> dict[str, object]:
    """As `/v1/models`."""
    return await routes.models(request)


# ── what there is not ───────────────────────────────────────────────────────

_NOT_HERE: Final = {
    ("POST", "/props"): ("Properties are not changed by requests.", "Set them in noibo.toml."),
    ("POST", "/lora-adapters"): (
        "The scales of adapters are not changed for all callers.",
        "Send `lora` with a single request.",
    ),
    ("POST", "/slots/{slot}"): ("Slots are not saved, restored or erased by requests.", ""),
    ("POST", "/models/load"): (
        "Models are not loaded here.",
        "POST /noibo/v1/workers/{model}/load, or `noibo load`; a first request loads one too.",
    ),
    ("POST", "/models/unload"): (
        "Models are not unloaded here.",
        "POST /noibo/v1/workers/{model}/stop, or `noibo stop`.",
    ),
    ("GET", "/tools"): ("There are no tools of the server.", ""),
    ("POST", "/tools"): ("There are no tools of the server.", ""),
    ("GET", "/cors-proxy"): ("This server fetches nothing for a page.", ""),
    ("POST", "/cors-proxy"): ("This server fetches nothing for a page.", ""),
    ("GET", "/v1/streams"): ("Streams are not kept to be taken up again.", ""),
    ("POST", "/v1/streams/lookup"): ("Streams are not kept to be taken up again.", ""),
    ("GET", "/v1/stream/{conversation}"): ("Streams are not kept to be taken up again.", ""),
    ("POST", "/v1/chat/completions/control"): (
        "An answer under way is not steered.",
        "Hang up to end it.",
    ),
}


def _refusal(why: str, next_step: str) -> Callable[[Request], Awaitable[Response]]:
    async def refuse(request: Request) -> Response:
        raise NotSupported(why, next_step=next_step)

    return refuse


for (method, path), said in _NOT_HERE.items():
    router.add_route(path, _refusal(*said), methods=[method], include_in_schema=False)
