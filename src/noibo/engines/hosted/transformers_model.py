"""Models of Hugging Face's transformers, from a folder on this disk. In the worker only.

Nothing is fetched, no code of a model's is run, no pickle is read: safetensors alone. The state of
the text that was read last (its keys and values) is kept, and read on from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
import transformers

from noibo.engines.hosted.hugging_face import ChatWords, Words
from noibo.engines.hosted.python_model import Json, Scores

LOCAL: Final = {"local_files_only": True, "trust_remote_code": False}
_USUAL: Final = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class CannotLoad(Exception):
    """The folder is not a model that this can run; the text is why."""


class TransformersWriter:
    """A causal language model."""

    def __init__(self, config: Json) -> None:
        torch.set_num_threads(config["threads"])
        self._model = _loaded(transformers.AutoModelForCausalLM, config)
        tokenizer = _tokenizer(config)
        said = self._model.generation_config
        ends = said.eos_token_id if said.eos_token_id is not None else tokenizer.eos_token_id
        size = self._model.get_output_embeddings().weight.shape[0]
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        self.vocabulary = ChatWords(tokenizer, size, ends, config["template"])
        self.context: int = config["ctx_size"]
        self.usual: Mapping[str, float] = _usual(said)
        self._state: Any = None
        self._length = 0
        self._device = self._model.get_input_embeddings().weight.device

    def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
        if self._state is None:
            self._state = transformers.DynamicCache(config=self._model.config)
        with torch.inference_mode():
            said = self._model(
                input_ids=torch.tensor([list(tokens)], device=self._device),
                past_key_values=self._state,
                use_cache=True,
                logits_to_keep=0 if each else 1,
            )
            self._state = said.past_key_values
            self._length += len(tokens)
            rows: Scores = said.logits[0].float().cpu().numpy()
        return rows if each else rows[-1]

    def cut(self, length: int) -> bool:
        if length == 0:
            self._state, self._length = None, 0
            return True
        try:
            self._state.crop(length - self._length)  # less than nothing: that many from the end
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            return False  # a window that has moved on, a state that is no list of tokens
        self._length = length
        return bool(self._state.get_seq_length() == length)

    @property
    def bytes(self) -> int:
        """What the weights take."""
        return int(self._model.get_memory_footprint())


class TransformersEmbedder:
    """A model whose tokens' vectors are pooled into one: of encoders, and of those that write."""

    def __init__(self, config: Json) -> None:
        torch.set_num_threads(config["threads"])
        self._model = _loaded(transformers.AutoModel, config)
        self._pooling: str = config["pooling"]
        tokenizer = _tokenizer(config)
        size = self._model.get_input_embeddings().weight.shape[0]
        self._pad = tokenizer.pad_token_id or 0
        self.vocabulary = Words(tokenizer.backend_tokenizer, size)
        self.context: int = config["ctx_size"]
        self._device = self._model.get_input_embeddings().weight.device

    def embed(self, inputs: Sequence[Sequence[int]]) -> Scores:
        longest = max(map(len, inputs))
        ids = [[*one, *[self._pad] * (longest - len(one))] for one in inputs]
        seen = [[1] * len(one) + [0] * (longest - len(one)) for one in inputs]
        with torch.inference_mode():
            mask = torch.tensor(seen, device=self._device)
            said = self._model(
                input_ids=torch.tensor(ids, device=self._device), attention_mask=mask
            )
            pooled = self._pooled(said.last_hidden_state.float(), mask)
            found: Scores = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        return np.ascontiguousarray(found)

    def _pooled(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self._pooling == "cls":
            return rows[:, 0]
        if self._pooling == "last":
            return rows[torch.arange(len(rows)), mask.sum(1) - 1]
        return (rows * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _loaded(kind: Any, config: Json) -> Any:
    """The weights, as they are wanted. Raises `CannotLoad`."""
    dtype = getattr(torch, config["dtype"])
    wanted: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, **LOCAL}
    if config["device_map"]:
        wanted["device_map"] = config["device_map"]
    if how := _rounded(config["load_in"], dtype):
        wanted["quantization_config"] = how
    try:
        model = kind.from_pretrained(config["path"], **wanted)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as exc:
        raise CannotLoad(f"{config['path']}: {exc}") from exc
    return model.eval()


def _rounded(load_in: str, dtype: torch.dtype) -> Any:
    if load_in == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    if load_in == "nf4":
        return transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    return None


def _tokenizer(config: Json) -> Any:
    try:
        found = transformers.AutoTokenizer.from_pretrained(config["path"], **LOCAL)
    except (OSError, ValueError, ImportError, KeyError) as exc:
        raise CannotLoad(f"its tokenizer: {exc}") from exc
    if not found.is_fast:
        raise CannotLoad("it has no tokenizer.json: transformers can make one of what it has.")
    return found


def _usual(said: Any) -> dict[str, float]:
    """How its makers say that tokens are drawn."""
    if said.do_sample is False:  # they say nothing: then the field's own
        return {}
    found = {name: getattr(said, name, None) for name in _USUAL}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
