"""Every field that Ollama's own client can send, and the test that shows what becomes of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import ollama
import ollama._types as sdk
import pytest

from noibo.engines.engine import Model
from noibo.gateway.ollama.asked import Asked
from noibo.gateway.ollama.turns import Completion, require_able
from noibo.wire import body
from noibo.wire.ollama.options import OPTIONS
from tests.gateway import test_ollama_api as api
from tests.gateway import test_ollama_models as models


def test_the_pictures_of_a_prompt_reach_the_model() -> None:
    fields = body.read_fields(
        msgspec.json.encode({"model": "m", "prompt": "What?", "images": [api.PIXEL]})
    )
    asked, turn = Asked.parse(fields), Completion.parse(fields)
    seeing = Model("m", "echo", projector=Path("mmproj.gguf"))
    require_able(turn, asked, seeing)
    told = turn.fields(asked, seeing)
    (message,) = msgspec.json.decode(told["messages"])
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{api.PIXEL}"}},
        {"type": "text", "text": "What?"},
    ]


_BOTH: dict[str, Any] = {
    "model": models.test_an_unknown_model_is_said_as_ollama_says_it,
    "format": api.test_an_answer_has_the_form_that_is_asked_for,
    "keep_alive": api.test_a_model_is_unloaded_when_asked,
    "think": api.test_thinking_is_switched_off,
    "logprobs": api.test_log_probabilities_come_when_asked_for,
    "top_logprobs": api.test_log_probabilities_come_when_asked_for,
}
_REFUSED = api.test_what_cannot_be_is_a_400_that_names_it
_BESIDE = api.test_what_is_asked_for_beside_a_text_has_its_effect
SHOWN: dict[str, dict[str, Any]] = {
    "GenerateRequest": _BOTH
    | {
        "prompt": api.test_a_prompt_is_a_chat_of_one_message,
        "stream": api.test_a_prompt_is_a_chat_of_one_message,
        "options": api.test_an_answer_ends_where_it_is_told_to,
        "suffix": api.test_a_gap_is_filled,
        "system": api.test_the_system_prompt_is_read,
        "context": api.test_the_context_is_the_conversation_in_tokens,
        "raw": api.test_a_raw_prompt_is_read_as_it_is,
        **dict.fromkeys(("template", "width", "height", "steps"), _REFUSED),
        "images": test_the_pictures_of_a_prompt_reach_the_model,
    },
    "ChatRequest": _BOTH
    | {
        **dict.fromkeys(
            ("messages", "stream", "options"), api.test_a_chat_is_answered_whole_and_in_pieces
        ),
        "tools": api.test_tools_and_their_answers_are_read,
    },
    "EmbedRequest": {
        "model": models.test_an_unknown_model_is_said_as_ollama_says_it,
        **dict.fromkeys(("input", "dimensions"), api.test_vectors_come_for_texts),
        **dict.fromkeys(("options", "truncate", "keep_alive"), _BESIDE),
    },
    "EmbeddingsRequest": {
        "model": models.test_an_unknown_model_is_said_as_ollama_says_it,
        "prompt": api.test_vectors_come_for_texts,
        **dict.fromkeys(("options", "keep_alive"), _BESIDE),
    },
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


def sent(test: Callable[..., None], method: str) -> set[str]:
    """What a test sends: the arguments of its calls of that method of the client (or of the
    function that does the same), and every text in it, which may be a key of a body."""
    order = list(inspect.signature(getattr(ollama.Client, method)).parameters)[1:]
    found: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(test)))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Call):
            of_client = isinstance(node.func, ast.Attribute) and node.func.attr == method
            if of_client:
                found |= set(order[: len(node.args)])
            if of_client or (isinstance(node.func, ast.Name) and node.func.id == method):
                found |= {word.arg for word in node.keywords if word.arg}
    return found


@pytest.mark.parametrize("request_", SHOWN)
def test_every_field_of_the_client_is_sent_by_the_test_that_shows_it(request_: str) -> None:
    assert set(getattr(sdk, request_).model_fields) == set(SHOWN[request_])
    method = request_.removesuffix("Request").lower()
    for name, test in SHOWN[request_].items():
        assert test.__name__.startswith("test_")
        assert name in sent(test, method), f"{test.__name__} sends no {name}"


def test_every_request_of_the_client_is_here() -> None:
    parts = {"BaseRequest", "BaseStreamableRequest", "BaseGenerateRequest"}
    web = {"WebSearchRequest", "WebFetchRequest"}  # of another host
    web |= {"SystemOneRequest"}  # POST /v1/systemone, for models that nobody runs here: a 404
    found = {name for name in vars(sdk) if name.endswith("Request")}
    assert found - parts - web == set(SHOWN)


def test_every_option_of_the_client_has_a_verdict() -> None:
    assert set(sdk.Options.model_fields) <= set(OPTIONS)
