"""Vectors for texts, by the worker of a model that embeds. For every API that has such a call:

    found = await embed(services, model, inputs, caller, keep_alive=None, dimensions=None,
                        truncate=False, told=waiting.told)
    found.vectors        # one array of 32-bit floats for each input, in order, of length 1
    found.prompt_tokens
    found.worker

The engine gets the inputs in pieces of a few, two pieces at a time: its slots are always full,
other callers come between, and what nobody waits for any more ends soon. How many tokens a text has
is asked of the tokenizer where it may be too many: nothing is cut unless `truncate` says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from noibo.engines.engine import Model, Verb
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.upstream import Upstream
from noibo.engines.worker import Worker
from noibo.errors import ContextExceeded, EngineError, InvalidRequest, NotSupported, WorkerDied
from noibo.gateway import unpooled
from noibo.gateway.callers import Caller
from noibo.gateway.pipeline import Errand
from noibo.gateway.services import Services
from noibo.gateway.side_by_side import side_by_side
from noibo.gateway.unpooled import Room
from noibo.gateway.watching.record import current
from noibo.gateway.window.cut import Cut
from noibo.wire import embeddings
from noibo.wire.body import Fields, raw
from noibo.wire.embeddings import Input

PIECE: Final = 16  # inputs
AT_ONCE: Final = 2  # pieces: one is read while the next is on its way
EACH_AT_ONCE: Final = 8  # inputs of which the vectors of all tokens are read
TOKENISED_AT_ONCE: Final = 8
SPECIAL: Final = 8  # tokens that are put round a text, at most
EXPANSION: Final = 18  # one character may become so many when it is normalised (U+FDFA)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one request, in the order of its inputs. `rows`: where the model does not
    pool and they are wanted, the vectors of all tokens of each input, as the engine said them.
    `cut`: what of the inputs was not read."""

    vectors: list[array[float]]
    prompt_tokens: int
    worker: Worker
    rows: Sequence[list[bytes]] = ()
    cut: Cut | None = None


async def embed(  # noqa: PLR0913, PLR0917 - whose, of what, and how
    services: Services,
    model: str,
    inputs: Sequence[Input],
    caller: Caller,
    keep_alive: float | None = None,
    dimensions: int | None = None,
    truncate: bool = False,
    *,
    told: Callable[[Ticket], None] = lambda ticket: None,
    more: Fields | None = None,
    with_rows: bool = False,
    most: int | None = None,
) -> Embedded:
    """Vectors of `inputs`. `truncate`: of a text that is too long only its beginning is read;
    without it that is an `InvalidRequest` with both numbers. `more` goes to the engine as it is.
    `with_rows`: where the model does not pool, keep the vectors of all tokens too. `most`: of each
    input no more tokens are read, though the model could read more."""
    require_vectors(await services.resolve(model))
    errand = Errand(Verb.EMBED, model, caller, keep_alive)
    for again in (True, False):
        try:
            async with services.pipeline.worker(errand, told) as upstream:
                room = Room() if with_rows else None
                asking = _Asking(upstream, dimensions, truncate, more or {}, room, most)
                return await asking.vectors(inputs)
        except WorkerDied as died:  # before it was asked: another can be, with nothing lost
            if died.asked or not again:
                raise
    raise AssertionError


def require_vectors(model: Model) -> None:
    """Raises `NotSupported` for a model that judges pairs of texts instead."""
    if model.info is not None and model.info.pooling == "rank":
        raise NotSupported(
            f"{model.name} ranks documents; it gives no vectors.",
            next_step="Ask it at /v1/rerank, or take a model that embeds.",
        )


def longest_input(worker: Worker) -> int:
    """Tokens that one input may have."""
    longest = worker.launch.placement.get("longest_input")
    return longest if isinstance(longest, int) else worker.launch.size.context


@dataclass(frozen=True, slots=True)
class _Asking:
    """One request while a worker is held for it."""

    upstream: Upstream
    dimensions: int | None
    truncate: bool
    more: Fields
    room: Room | None = None  # for the vectors of all tokens
    most: int | None = None
    cuts: list[int] = field(default_factory=list)  # tokens of each input that are not read

    async def vectors(self, inputs: Sequence[Input]) -> Embedded:
        worker = self.upstream.worker
        fitting = await side_by_side(self._fit, list(enumerate(inputs)), TOKENISED_AT_ONCE)
        if worker.model.info is not None and worker.model.info.pooling == "none":
            found = await self._of_each_token(fitting)
        else:
            found = await self._in_pieces(fitting)
        current().read(found.prompt_tokens)
        worker.tokens_in += found.prompt_tokens
        worker.prompts += len(inputs)
        return replace(found, cut=self._cut_of_all()) if self.cuts else found

    def _cut_of_all(self) -> Cut:
        window = min(has := longest_input(self.upstream.worker), self.most or has)
        return Cut("truncate", window, inputs=len(self.cuts), tokens=sum(self.cuts))

    async def _in_pieces(self, inputs: Sequence[Input]) -> Embedded:
        pieces = [inputs[i : i + PIECE] for i in range(0, len(inputs), PIECE)]
        found = await side_by_side(self._pooled, pieces, AT_ONCE)
        vectors = [vector for piece in found for vector in piece.vectors]
        tokens = sum(piece.prompt_tokens for piece in found)
        return Embedded(vectors, tokens, self.upstream.worker)

    async def _of_each_token(self, inputs: Sequence[Input]) -> Embedded:
        """Of a model that does not pool: the mean is taken here."""
        asked = [self.more | {"input": raw([one])} for one in inputs]
        found = await side_by_side(
            lambda fields: unpooled.read(self.upstream, fields, self.room), asked, EACH_AT_ONCE
        )
        vectors = [self._shortened(rows.mean()) for rows in found]
        tokens = sum(rows.count for rows in found)
        kept = [rows.kept for rows in found] if self.room is not None else ()
        return Embedded(vectors, tokens, self.upstream.worker, kept)

    async def _pooled(self, piece: Sequence[Input]) -> Embedded:
        asked = {**self.more, "input": piece, "encoding_format": "base64"}
        found = await self.upstream.ask(Verb.EMBED, "/v1/embeddings", asked)
        try:
            said = sorted(found["data"], key=lambda one: int(one["index"]))
            texts = [one["embedding"] for one in said]
            tokens = int(found["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError) as exc:
            raise EngineError(f"The engine's answer has no vectors ({exc!r}).") from exc
        vectors = [self._shortened(embeddings.vector_of(text)) for text in texts]
        if len(vectors) != len(piece):
            raise EngineError(f"The engine gave {len(vectors)} vectors for {len(piece)}.")
        return Embedded(vectors, tokens, self.upstream.worker)

    def _shortened(self, vector: array[float]) -> array[float]:
        return vector if self.dimensions is None else embeddings.shortened(vector, self.dimensions)

    # ── how long an input is ────────────────────────────────────────────────

    async def _fit(self, numbered: tuple[int, Input]) -> Input:
        """The input as the engine gets it: not longer than it may be."""
        number, one = numbered
        has = longest_input(self.upstream.worker)
        longest = min(has, self.most or has)
        if isinstance(one, str) and surely_within(one, longest):
            return one
        tokens = await self._tokens(one, number)
        if len(tokens) <= longest:
            return list(tokens)
        if not self.truncate:
            if longest < has:
                raise InvalidRequest(
                    f"input[{number}] has {len(tokens)} tokens; {longest} are to be read at most.",
                    param="input",
                )
            raise too_long(f"input[{number}]", len(tokens), self.upstream.worker)
        self.cuts.append(len(tokens) - longest)
        return await self._cut(tokens, longest)

    async def _tokens(self, one: Input, number: int) -> list[int]:
        if not isinstance(one, str):
            require_known(one, f"input[{number}]", self.upstream.worker.model)
        if isinstance(one, str) or any(isinstance(part, str) for part in one):
            return await tokens_of(self.upstream, one)
        return [token for token in one if isinstance(token, int)]

    async def _cut(self, tokens: list[int], longest: int) -> Input:
        """The beginning, with the token that ends every input of this model."""
        round_it = await tokens_of(self.upstream, "")
        kept: list[int | str] = [*tokens[:longest]]
        if round_it and tokens[-1] == round_it[-1]:
            kept[-1] = tokens[-1]
        return kept


async def tokens_of(upstream: Upstream, text: Input, *, special: bool = True) -> list[int]:
    """Token ids, with those that the model wants round a text."""
    asked: dict[str, Any] = {"content": text, "add_special": special}
    found = await upstream.ask(Verb.TOKENISE, "/tokenize", asked)
    tokens: list[int] = found["tokens"]
    return tokens


def surely_within(text: str, most: int) -> bool:
    """True if a text cannot have more tokens, whatever the tokenizer: one is never less than a
    byte of what it reads."""
    longest = len(text) if text.isascii() else EXPANSION * len(text)
    return longest + SPECIAL <= most


def require_known(tokens: Sequence[int | str], place: str, model: Model) -> None:
    """Raises `InvalidRequest` for a token that is not in the model's vocabulary."""
    size = model.info.vocabulary_size if model.info else None
    worst = max((one for one in tokens if isinstance(one, int)), default=0)
    if size and worst >= size:
        raise InvalidRequest(
            f"{place} has the token {worst}; {model.name} has {size} tokens.",
            param=place.partition("[")[0],
            next_step=f"Tokenise with the model's own tokenizer: ids are from 0 to {size - 1}.",
        )


def too_long(place: str, tokens: int, worker: Worker) -> ContextExceeded:
    """What an input that is too long is answered, with both numbers."""
    longest, trained = longest_input(worker), worker.model.trained_context
    return ContextExceeded(
        tokens,
        longest,
        param=place,
        next_step=f"Send less, or raise engine.ctx_size: the model was trained for {trained}."
        if trained > longest
        else "Send it in parts.",
    )
