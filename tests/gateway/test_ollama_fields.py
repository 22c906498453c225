"""Every field that Ollama's own client can send, and the test that shows what becomes of it."""

from __future__ import annotations

from typing import Any

import ollama._types as sdk
import pytest

from noibo.wire.ollama.options import OPTIONS
from tests.gateway import test_ollama_api as api
from tests.gateway import test_ollama_models as models

_BOTH: dict[str, Any] = {
    "model": models.test_an_unknown_model_is_said_as_ollama_says_it,
    "stream": api.test_a_chat_is_answered_whole_and_in_pieces,
    "options": api.test_every_option_is_refused_in_a_wrong_type,
    "format": api.test_an_answer_has_the_form_that_is_asked_for,
    "keep_alive": api.test_a_model_is_unloaded_when_asked,
    "think": api.test_thinking_is_switched_off,
    "logprobs": api.test_log_probabilities_come_when_asked_for,
    "top_logprobs": api.test_log_probabilities_come_when_asked_for,
}
_REFUSED = api.test_what_cannot_be_is_a_400_that_names_it
SHOWN: dict[str, dict[str, Any]] = {
    "GenerateRequest": _BOTH
    | {
        "prompt": api.test_a_prompt_is_a_chat_of_one_message,
        "suffix": api.test_a_gap_is_filled,
        "system": api.test_the_system_prompt_is_read,
        "context": api.test_the_context_is_the_conversation_in_tokens,
        "raw": api.test_a_raw_prompt_is_read_as_it_is,
        **dict.fromkeys(("template", "images", "width", "height", "steps"), _REFUSED),
    },
    "ChatRequest": _BOTH
    | {
        "messages": api.test_a_chat_is_answered_whole_and_in_pieces,
        "tools": api.test_tools_and_their_answers_are_read,
    },
    "EmbedRequest": {
        "model": models.test_an_unknown_model_is_said_as_ollama_says_it,
        "options": api.test_a_bad_field_is_a_400_in_ollamas_shape,
        **dict.fromkeys(
            ("input", "dimensions", "truncate", "keep_alive"), api.test_vectors_come_for_texts
        ),
    },
    "EmbeddingsRequest": dict.fromkeys(
        ("model", "prompt", "options", "keep_alive"), api.test_vectors_come_for_texts
    ),
    "CreateRequest": dict.fromkeys(
        ("model", "stream", "from_", "system", "template", "parameters", "messages", "license"),
        models.test_a_model_is_made_of_another,
    )
    | {
        "files": models.test_a_model_is_made_of_blobs,
        "adapters": models.test_a_model_is_made_of_blobs,
        "quantize": models.test_a_create_that_makes_no_sense_is_refused,
    },
    "PullRequest": {
        "model": models.test_a_model_is_pulled_from_a_registry,
        "stream": models.test_a_model_is_pulled_from_a_registry,
        "insecure": models.test_what_a_pull_cannot_do_is_refused,
    },
    "PushRequest": dict.fromkeys(("model", "stream", "insecure"), models.test_nothing_is_pushed),
    "CopyRequest": dict.fromkeys(
        ("source", "destination"), models.test_a_model_is_copied_and_deleted
    ),
    "DeleteRequest": {"model": models.test_a_model_is_copied_and_deleted},
    "ShowRequest": {"model": models.test_what_is_shown_is_of_the_header},
}


@pytest.mark.parametrize("request_", SHOWN)
def test_every_field_of_the_client_is_shown(request_: str) -> None:
    assert set(getattr(sdk, request_).model_fields) == set(SHOWN[request_])
    assert all(map(callable, SHOWN[request_].values()))


def test_every_request_of_the_client_is_here() -> None:
    parts = {"BaseRequest", "BaseStreamableRequest", "BaseGenerateRequest"}
    web = {"WebSearchRequest", "WebFetchRequest"}  # of another host
    web |= {"SystemOneRequest"}  # POST /v1/systemone, for models that nobody runs here: a 404
    found = {name for name in vars(sdk) if name.endswith("Request")}
    assert found - parts - web == set(SHOWN)


def test_every_option_of_the_client_has_a_verdict() -> None:
    assert set(sdk.Options.model_fields) <= set(OPTIONS)
