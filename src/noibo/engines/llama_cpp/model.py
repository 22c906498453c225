"""A model as llama.cpp's library holds it: its vocabulary, its context, and what it says of tokens.

A context holds the state of several sequences. They share its cells: tokens that two sequences
have in common lie there once.

Kernels differ with how many tokens are multiplied at a time: what is left over of fours, and four
alone, go another way, with another rounding, and the same token would get another score by where it
stands in a batch. So every batch is filled up to fours and at least to eight, with tokens of a
sequence that nobody looks at.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noibo.engines.llama_cpp import api
from noibo.engines.llama_cpp.api import Unknown
from noibo.engines.llama_cpp.score_plan import FOUR

Scores = npt.NDArray[np.float32]
LONGEST_PIECE = 64


class CannotLoad(Exception):
    """The library did not load the model; it has said why in its log."""


class DecodeFailed(Exception):
    """The library did not read a batch, or has nothing to say of it."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token to be read: where it stands in which sequence."""

    id: int
    position: int
    sequence: int = 0


class Vocabulary:
    """Text to token ids, and token ids to the bytes they stand for."""

    def __init__(self, library: Any, model: int) -> None:
        self._library = library
        self._vocabulary = library.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}
        self.size: int = library.llama_vocab_n_tokens(self._vocabulary)

    def tokenise(self, text: str) -> list[int]:
        """Token ids of `text`, with what the tokenizer puts before and after a text. The names of
        control tokens in it are these tokens."""
        said = text.encode()
        room = len(said) + 8
        for _ in range(2):
            ids = (ctypes.c_int32 * room)()
            count = self._library.llama_tokenize(
                self._vocabulary, said, len(said), ids, room, True, True
            )
            if count >= 0:
                break
            room = -count
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of a token; of a control token, its name."""
        if token not in self._pieces:
            self._pieces[token] = self._read_piece(token)
        return self._pieces[token]

    def _read_piece(self, token: int) -> bytes:
        room = LONGEST_PIECE
        for _ in range(2):
            text = ctypes.create_string_buffer(room)
            count: int = self._library.llama_token_to_piece(
                self._vocabulary, token, text, room, 0, True
            )
            if count >= 0:
                break
            room = -count
        return text.raw[: max(count, 0)]

    def ends(self, token: int) -> bool:
        """True for a token that ends an answer."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))


class LlamaModel:
    """A loaded model with one context."""

    def __init__(self, library: Any, config: Mapping[str, Any]) -> None:
        self._library = library
        library.llama_backend_init()
        model = library.llama_model_load_from_file(
            config["path"].encode(), library.llama_model_default_params()
        )
        if not model:
            raise CannotLoad(config["path"])
        self.vocabulary = Vocabulary(library, model)
        self.context_length: int = config["ctx_size"]
        self.batch: int = config["batch"]
        self.sequences: int = config["sequences"]  # the last one is idle
        self._context = self._new_context(model, config)
        self._add_adapters(model, config["adapters"])
        self._memory = library.llama_get_memory(self._context)
        self._tokens = library.llama_batch_init(self.batch, 0, 1)

    def _new_context(self, model: int, config: Mapping[str, Any]) -> int:
        wanted = {
            "n_ctx": config["ctx_size"] + 2 * FOUR,
            "n_batch": config["batch"],
            "n_ubatch": config["batch"],
            "n_seq_max": config["sequences"],
        }
        params = api.context_defaults(self._library)
        for name, value in wanted.items():
            setattr(params, name, value)
        params.n_threads = params.n_threads_batch = config["threads"]
        params.kv_unified = True
        if config["kv_type"] == "q8_0":
            params.type_k = params.type_v = api.Q8_0
            params.flash_attn_type = api.FLASH_ATTENTION
        context: int = self._library.llama_init_from_model(model, params)
        if not context:
            raise CannotLoad(config["path"])
        self._require(context, wanted)
        return context

    def _require(self, context: int, wanted: Mapping[str, int]) -> None:
        """What was set is what the library says is set; each sequence may be as long as all of the
        context, as their cells are shared."""
        ask = self._library
        for name, value in wanted.items():
            which = "n_ctx_seq" if name == "n_ctx" else name
            found = getattr(ask, f"llama_{which}")(context)
            if found < value if name == "n_ctx" else found != value:
                raise Unknown(f"{name} was set to {value}, and {which} is {found}")

    def _add_adapters(self, model: int, paths: Sequence[str]) -> None:
        if not paths:
            return
        found = [self._library.llama_adapter_lora_init(model, path.encode()) for path in paths]
        if not all(found):
            raise CannotLoad(", ".join(paths))
        scales = (ctypes.c_float * len(found))(*[1.0] * len(found))
        adapters = (ctypes.c_void_p * len(found))(*found)
        if self._library.llama_set_adapters_lora(self._context, adapters, len(found), scales):
            raise CannotLoad(", ".join(paths))

    def read(self, tokens: Sequence[Token]) -> Scores:
        """Read at most `batch` tokens; of each, the scores (logits) of all tokens after it: a view
        that holds until the next call. Raises `DecodeFailed`."""
        last = self.sequences - 1
        wanted = max(-(-len(tokens) // FOUR), 2) * FOUR
        idle = [Token(0, place, last) for place in range(wanted - len(tokens))]
        rows = self._decode([*tokens, *idle])
        if idle:
            self.cut(last, 0)
        return rows[: len(tokens)]

    def _decode(self, tokens: Sequence[Token]) -> Scores:
        batch = self._tokens
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token.id
            batch.pos[i] = token.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = token.sequence
            batch.logits[i] = 1
        if code := self._library.llama_decode(self._context, batch):
            raise DecodeFailed(f"llama_decode returned {code}")
        scores = self._library.llama_get_logits(self._context)
        if not scores:
            raise DecodeFailed("the model gives no scores of tokens")
        return np.ctypeslib.as_array(scores, shape=(len(tokens), self.vocabulary.size))

    def copy(self, source: int, target: int) -> None:
        """All of one sequence is the beginning of another, empty one."""
        self._library.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def cut(self, sequence: int, length: int) -> bool:
        """Keep the first `length` tokens of a sequence; False where the model cannot go back."""
        return bool(self._library.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self) -> None:
        """Forget every sequence."""
        self._library.llama_memory_clear(self._memory, False)
