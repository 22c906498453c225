"""The fields of a request in vLLM's words. vLLM passes over what it does not know, so that is
refused here, by its name: nobody is to take an answer for one that was drawn otherwise. Pure."""

from __future__ import annotations

from typing import Any, Final

from noibo.engines.engine import Fields, plain
from noibo.engines.hosted.wanted import OF_MIROSTAT, asks_nothing
from noibo.errors import InvalidRequest

# llama.cpp's word for a field, and vLLM's.
_WORDS: Final = {"repeat_penalty": "repetition_penalty", "n_predict": "max_tokens"}
# llama.cpp's ways to work, which change nothing of what is said.
_WAYS: Final = ("return_progress", "cache_prompt", "n_keep")
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "n_predict")  # none below 0
_KNOWN: Final = frozenset(
    [
        "model",
        "messages",
        "prompt",
        "suffix",
        "echo",
        "user",
        "n",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "min_tokens",
        "ignore_eos",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "logit_bias",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "length_penalty",
        "logprobs",
        "top_logprobs",
        "prompt_logprobs",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "response_format",
        "structured_outputs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning_effort",
        "include_reasoning",
        "thinking_token_budget",
        "chat_template_kwargs",
        "documents",
        "add_generation_prompt",
        "continue_final_message",
        "add_special_tokens",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "include_stop_str_in_output",
        "allowed_token_ids",
        "bad_words",
        "truncate_prompt_tokens",
        "use_beam_search",
        "priority",
    ]
)


def translate(fields: Fields) -> None:
    """In place. Raises `InvalidRequest` for what vLLM does not do."""
    said = {name: plain(fields[name]) for name in fields if name not in _KNOWN}
    for name, value in said.items():
        if name in _WAYS or asks_nothing(name, value):
            del fields[name]
    if "mirostat" not in fields:
        for name in OF_MIROSTAT:
            fields.pop(name, None)
    _all_of_it(fields, said)
    for name in _LIMITS:
        limit = plain(fields[name]) if name in fields else None
        if type(limit) is int and limit < 0:
            del fields[name]
    for name, meant in _WORDS.items():
        if (value := fields.pop(name, None)) is not None:
            fields.setdefault(meant, value)
    if unknown := sorted(set(fields) - _KNOWN):
        raise InvalidRequest(
            f"{unknown[0]}: the engine vllm does not do this.",
            param=unknown[0],
            next_step="Leave it out, or ask a model that llama_cpp runs.",
        )


def _all_of_it(fields: Fields, said: dict[str, Any]) -> None:
    """vLLM's penalty looks at the whole text: a number of tokens says nothing where there is no
    penalty, or where it means all."""
    penalty = said.get("repeat_penalty") or plain(fields.get("repetition_penalty"))
    if said.get("repeat_last_n") == -1 or penalty in (None, 1):
        fields.pop("repeat_last_n", None)
