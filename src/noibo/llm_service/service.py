"""The service as a program sees it: plain calls, from any thread and on any event loop.

The calls are those of the many small services that wrap transformers (`load_model`,
`generate_answer`, `optimize_for_gpu` …); what answers is noibo's own engine and pipeline, in this
process's child, without a server. Nothing is read, started or imported before the first call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, get_type_hints

from noibo.errors import ModelNotFound
from noibo.llm_service.advice import advised, hints
from noibo.llm_service.answer import Answer, Taken
from noibo.llm_service.pacing import paced, pause_of
from noibo.llm_service.prompt import Context, messages

if TYPE_CHECKING:
    from noibo.llm_service.asking import Question
    from noibo.llm_service.config import GenerationConfig
    from noibo.llm_service.room import Room
    from noibo.settings import Llm, Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
USUAL_LENGTH: Final = 4096  # where neither the program nor the settings say one


class LLMService:
    """One model in this program. `model_path` is a GGUF file, a folder that holds one, or the name
    of a model in the store; empty: what LLM_MODEL_PATH says, else as `llm.model_path` says."""

    # Here, so that a class of one's own may have an `__init__` that only sets what it is set to.
    _guard: Final = threading.Lock()  # of all services: held for a moment
    _said: str = ""
    _tree: Settings | None = None
    _config: GenerationConfig | None = None
    _room: Room | None = None
    _leaving: weakref.finalize[[], LLMService] | None = None  # leaves the room with the service
    _last: Taken = Taken()

    def __init__(
        self, model_path: str | os.PathLike[str] = "", *, tree: Settings | None = None
    ) -> None:
        self._said = os.fspath(model_path)
        self._tree = tree and replace(tree, llm=self._own(tree.llm))

    # ── loading ─────────────────────────────────────────────────────────────

    async def load_model(self) -> None:
        """Load the model, unless it is: callers that come meanwhile share the load. After a change
        of what is to be loaded, load that instead. Raises `ModelPathNotFound`, `OutOfMemory` …"""
        with advised():
            room = await asyncio.to_thread(self._opened)
            await asyncio.wrap_future(room.submit(room.load(self._settings())))

    def optimize_for_gpu(
        self,
        use_quantization: bool = True,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
    ) -> str:
        """Choose the form of the model that the next `load_model` takes: the one in 8 bits (Q8_0),
        in 4 (Q4_K_M), without `use_quantization` as it was trained. What was found for it, in
        words. Raises `QuantisationMissing` with the command that brings it, where it is not here,
        and `InvalidRequest` for both at once."""
        tree = self._settings()
        wanted = replace(
            tree.llm,
            use_quantization=use_quantization,
            load_in_8bit=load_in_8bit,
            load_in_4bit=load_in_4bit,
        )
        fresh = replace(tree, llm=wanted)
        room = self._opened()
        try:
            with advised():
                found = _result(room.submit(room.find(fresh)))
        except ModelNotFound:
            said = "No model is here yet: it is chosen when one is loaded."
        else:
            said = found.note or f"{found.model.name} {found.quantisation}".strip()
        self._tree = fresh
        log.info("the next load takes: %s", said)
        return said

    def clear_gpu_cache(self) -> int:
        """Give back what the worker has grown by since it was loaded (states of old conversations);
        bytes. 0 where that is not worth it, and while it answers. The worker is started anew for
        that, which is not waited for; where there is no memory for it now, that is a warning.
        llama.cpp takes what it needs on a GPU once, when it loads: that is not given back."""
        room = self._room
        if room is None or not room.usable:
            return 0
        return _result(room.submit(room.clear()))

    # ── asking ──────────────────────────────────────────────────────────────

    def generate_answer(
        self,
        question: str,
        context: Context = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Answer:
        """The answer, when it is whole; loads the model if nobody has. It holds up whoever calls
        it: on an event loop with other work, await `generate_answer_async`. Raises
        `ContextExceeded` where question, context and answer are longer than the window."""
        room, asked = self._begun(question, context, max_tokens, temperature)
        with advised():
            answer = _result(room.submit(room.answer(self._settings(), asked, _nobody)))
        return self._noted(answer)

    async def generate_answer_async(
        self,
        question: str,
        context: Context = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Answer:
        """The same without holding the event loop up. Cancelling it ends the work."""
        with advised():
            room, asked = await asyncio.to_thread(
                self._begun, question, context, max_tokens, temperature
            )
            work = room.submit(room.answer(self._settings(), asked, _nobody))
            return self._noted(await asyncio.wrap_future(work))

    async def generate_answer_with_streaming(
        self,
        question: str,
        context: Context = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        words_per_second: float = 0.0,
    ) -> AsyncGenerator[str, None]:
        """The answer in pieces, as they are written; with `words_per_second`, whole words at that
        pace. The engine is not held up by a slow reader. Leaving the loop ends the work."""
        pause = pause_of(words_per_second)
        room, asked = await asyncio.to_thread(
            self._begun, question, context, max_tokens, temperature
        )
        async with contextlib.aclosing(self._pieces(room, asked)) as pieces:
            async for piece in paced(pieces, pause):
                yield piece

    async def _pieces(self, room: Room, asked: Question) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(piece: str | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, piece)

        def ended(work: Future[Answer]) -> None:
            with contextlib.suppress(RuntimeError):  # the reader's loop is closed
                tell(None)

        work = room.submit(room.answer(self._settings(), asked, tell))
        work.add_done_callback(ended)
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            with advised():
                self._noted(work.result())
        finally:
            work.cancel()

    def update_generation_config(self, **changes: Any) -> dict[str, Any]:
        """Change how answers are drawn from now on (`temperature`, `top_p`, `top_k` …); returns all
        of it. Raises `InvalidRequest` for a key that there is not, with the nearest one."""
        self._config = self._generation().updated(**changes)
        return asdict(self._config)

    # ── seeing ──────────────────────────────────────────────────────────────

    def get_model_info(self) -> dict[str, Any]:
        """What runs, where, in how much memory (GB), and `advice` on what could be better."""
        from noibo.llm_service.info import facts

        room = self._room
        home = room.home if room and room.usable else None
        found = facts(home, self._settings().llm, self.max_length, self._last)
        generation = {"generation_config": asdict(self._generation())}
        return {**found, **generation, "advice": hints(found)}

    @property
    def is_loaded(self) -> bool:
        """Whether it can answer at once."""
        room = self._room
        return bool(room and room.usable and room.home and room.home.worker)

    # ── ending ──────────────────────────────────────────────────────────────

    async def cleanup(self) -> None:
        """Unload the model and give everything back; more than once does no harm. The service can
        be used again afterwards. The end of the program does the same."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """As `cleanup`, for code without an event loop."""
        with self._guard:
            room, self._room = self._room, None
            self._forget_leaving()
        if room is not None:
            room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.load_model()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cleanup()

    # ── what it is set to ───────────────────────────────────────────────────

    @property
    def model_path(self) -> str:
        """What is to be loaded."""
        return self._settings().llm.model_path or _usual(self._settings())

    @model_path.setter
    def model_path(self, said: str | os.PathLike[str]) -> None:
        self._set(model_path=os.fspath(said))

    @property
    def max_length(self) -> int:
        """Tokens of the window: of the model that is loaded, until another is set; else what the
        next load asks for."""
        tree, room = self._settings(), self._room
        home = room.home if room and room.usable else None
        worker = home.worker if home else None
        if home and worker and worker.window and home.tree.llm.max_length == tree.llm.max_length:
            return worker.window
        return tree.llm.max_length or tree.engine.ctx_size or USUAL_LENGTH

    @max_length.setter
    def max_length(self, tokens: int) -> None:
        self._set(max_length=tokens)

    @property
    def use_quantization(self) -> bool:
        """As `optimize_for_gpu` was told, or the settings; so are the next two."""
        return self._settings().llm.use_quantization

    @use_quantization.setter
    def use_quantization(self, on: bool) -> None:
        self._set(use_quantization=on)

    @property
    def load_in_8bit(self) -> bool:
        return self._settings().llm.load_in_8bit

    @load_in_8bit.setter
    def load_in_8bit(self, on: bool) -> None:
        self._set(load_in_8bit=on)

    @property
    def load_in_4bit(self) -> bool:
        return self._settings().llm.load_in_4bit

    @load_in_4bit.setter
    def load_in_4bit(self, on: bool) -> None:
        self._set(load_in_4bit=on)

    def _set(self, **changes: Any) -> None:
        """Raises `InvalidRequest` for a value that cannot be; then nothing changes."""
        from noibo.llm_service.config import checked
        from noibo.settings import Llm

        kinds, tree = get_type_hints(Llm, include_extras=True), self._settings()
        values = {name: checked(name, value, kinds[name]) for name, value in changes.items()}
        self._tree = replace(tree, llm=replace(tree.llm, **values))

    def _settings(self) -> Settings:
        """Read when they are first wanted. Raises `SettingsError` for what cannot be."""
        if self._tree is None:
            from noibo import settings

            tree = settings.load(plain=True)
            self._tree = replace(tree, llm=self._own(tree.llm))
        return self._tree

    def _own(self, llm: Llm) -> Llm:
        return replace(llm, model_path=self._said) if self._said else llm

    def _generation(self) -> GenerationConfig:
        if self._config is None:
            from noibo.llm_service.config import GenerationConfig

            self._config = GenerationConfig.of(self._settings().llm)
        return self._config

    def _asked(
        self, question: str, context: Context, max_tokens: int | None, temperature: float | None
    ) -> Question:
        from noibo.llm_service.asking import Question

        said = {"max_tokens": max_tokens, "temperature": temperature}
        given = {name: value for name, value in said.items() if value is not None}
        config = self._generation().updated(**given)
        return Question(
            messages(question, context, config.system), config, limited=max_tokens is not None
        )

    def _begun(
        self, question: str, context: Context, max_tokens: int | None, temperature: float | None
    ) -> tuple[Room, Question]:
        """Where it is asked, and what. The first time, what is imported for it takes a second: not
        for an event loop."""
        asked = self._asked(question, context, max_tokens, temperature)
        return self._opened(), asked

    def _opened(self) -> Room:
        """The room that the model is run in: made for the first caller."""
        from noibo.llm_service.room import Room

        with self._guard:
            if self._room is None or not self._room.usable:
                self._forget_leaving()
                self._room = Room()
                self._leaving = weakref.finalize(self, self._room.leave)
                self._leaving.atexit = False
            return self._room

    def _forget_leaving(self) -> None:
        """What would leave the room with the service holds the room, and all that was in it."""
        if self._leaving is not None:
            self._leaving.detach()
            self._leaving = None

    def _noted(self, answer: Answer) -> Answer:
        taken = self._last = answer.taken
        if taken.cut:
            log.warning("the prompt was cut to fit the window: %s", dict(taken.cut))
        if taken.thoughts and taken.finish_reason == "length" and not answer.strip():
            log.warning(
                "the answer is empty: the model thought for all of its %d tokens "
                "(answer.taken.thoughts). Give more (max_tokens), or have it think less: "
                "update_generation_config(think=False)",
                taken.tokens,
            )
        return answer


def _nobody(piece: str) -> None:
    """The pieces of an answer that is only wanted whole."""


def _result(work: Future[T]) -> T:
    """What it gives. Whoever leaves (Ctrl-C) ends the work."""
    try:
        return work.result()
    except BaseException:
        work.cancel()
        raise


def _usual(tree: Settings) -> str:
    from noibo.llm_service.finding import usual

    return usual(tree)
