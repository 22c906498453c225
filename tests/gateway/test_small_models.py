"""Models of other kinds: encoders by how they pool, one that ranks, one that fills in."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.small_models import Encoder

TEXTS = ["the cat sat on the mat", "a dog", "it is not march"]
QUERY = "what is panda"
DOCUMENTS = ["it", "the panda is a bear", "the bank said the rate rose", "dog", "it is a bear"]


@pytest.fixture
def http(small: httpx2.Client) -> httpx2.Client:
    return small


def asked(http: httpx2.Client, path: str, **fields: Any) -> Any:
    answer = http.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(http: httpx2.Client, path: str, status: int, **fields: Any) -> str:
    answer = http.post(path, json=fields)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)  # Ollama's is a text


# ── vectors ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "pooling"), [("mean", "mean"), ("cls", "cls"), ("silent", "mean"), ("none", "mean")]
)
def test_a_vector_is_pooled_as_the_header_says_else_the_mean(
    http: httpx2.Client, encoder: Encoder, model: str, pooling: str
) -> None:
    rows = asked(http, "/v1/embeddings", model=model, input=TEXTS)["data"]
    for text, row in zip(TEXTS, rows, strict=True):
        ids = asked(http, "/tokenize", model=model, content=text, add_special=True)["tokens"]
        assert encoder.tokens[ids[0]] == "[CLS]"
        assert encoder.tokens[ids[-1]] == "[SEP]"
        assert np.dot(row["embedding"], encoder.vector(ids, pooling)) > 0.999


def test_a_model_that_does_not_pool_gives_the_vectors_of_all_tokens(
    http: httpx2.Client, encoder: Encoder
) -> None:
    (found,) = asked(http, "/embedding", model="none", content=TEXTS[0])
    ids = asked(http, "/tokenize", model="none", content=TEXTS[0], add_special=True)["tokens"]
    assert np.allclose(found["embedding"], encoder.states(ids), atol=0.05)


def test_the_longest_input_is_the_models_and_one_token_more_is_refused(
    http: httpx2.Client,
) -> None:
    longest = asked(http, "/v1/embeddings", model="mean", input="cat " * 62)
    assert longest["usage"]["prompt_tokens"] == 64
    said = refused(http, "/v1/embeddings", 400, model="mean", input="cat " * 63)
    assert "65 tokens" in said
    assert "maximum context length is 64" in said


def test_an_input_that_is_cut_ends_as_every_input_does(http: httpx2.Client) -> None:
    whole = asked(http, "/api/embed", model="mean", input="cat " * 500)
    cut = asked(http, "/v1/embeddings", model="mean", input="cat " * 62)
    assert whole["prompt_eval_count"] == 64
    assert whole["noibo"] == {
        "cut": {"policy": "truncate", "inputs": 1, "tokens": 502 - 64, "window": 64}
    }
    assert "noibo" not in cut
    assert np.dot(whole["embeddings"][0], cut["data"][0]["embedding"]) > 0.9999
    refused(http, "/api/embed", 400, model="mean", input="cat " * 500, truncate=False)


def test_as_much_of_a_text_is_read_as_ollamas_callers_say(http: httpx2.Client) -> None:
    short, said = {"num_ctx": 10}, {"model": "mean", "input": "cat " * 50}
    cut = asked(http, "/api/embed", **said, options=short)
    assert cut["prompt_eval_count"] == 10
    assert (
        cut["embeddings"] == asked(http, "/api/embed", model="mean", input="cat " * 8)["embeddings"]
    )
    message = refused(http, "/api/embed", 400, **said, options=short, truncate=False)
    assert "10 are to be read at most" in message
    shortened = http.post("/api/embed", json=said | {"options": short})
    assert shortened.headers["X-Noibo-Cut"] == "policy=truncate; inputs=1; tokens=42; window=10"
    old = {"model": "mean", "prompt": said["input"], "options": short}
    assert http.post("/api/embeddings", json=old).headers["X-Noibo-Cut"].endswith("window=10")
    strict = {"X-Noibo-Context": "refuse"}
    assert http.post("/api/embed", json=said | {"options": short}, headers=strict).is_client_error
    answer = http.post("/api/embed", json=said | {"options": {"num_ctx": 100_000}})
    assert answer.headers["X-Noibo-Context"].endswith("; asked=100000")


@pytest.mark.heavy
def test_many_inputs_of_unlike_length_are_each_their_own(http: httpx2.Client) -> None:
    texts = ["cat " * (1 + 7 * number % 60) + TEXTS[number % 3] for number in range(60)]
    texts = [" ".join(text.split()[:60]) for text in texts]
    together = [
        row["embedding"] for row in asked(http, "/v1/embeddings", model="cls", input=texts)["data"]
    ]
    for number in (0, 17, 59):
        (alone,) = asked(http, "/v1/embeddings", model="cls", input=texts[number])["data"]
        assert np.dot(alone["embedding"], together[number]) > 0.9999


def test_an_encoder_does_not_write(http: httpx2.Client) -> None:
    chat = {"model": "mean", "messages": [{"role": "user", "content": "Hi"}]}
    assert "cannot write" in refused(http, "/v1/chat/completions", 501, **chat)
    assert "cannot write" in refused(http, "/completion", 501, model="mean", prompt="Hi")


# ── ranking ─────────────────────────────────────────────────────────────────


def test_documents_are_ranked_best_first(http: httpx2.Client) -> None:
    found = asked(http, "/v1/rerank", model="ranks", query=QUERY, documents=DOCUMENTS)
    assert found["object"] == "list"
    assert found["model"].startswith("ranks")
    scores = [row["relevance_score"] for row in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(DOCUMENTS)
    assert sorted(row["index"] for row in found["results"]) == [0, 1, 2, 3, 4]
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 20


def test_a_score_does_not_depend_on_the_other_documents(http: httpx2.Client) -> None:
    documents = DOCUMENTS * 5  # more than a piece
    found = asked(http, "/rerank", model="ranks", query=QUERY, documents=documents)["results"]
    scores = {row["index"]: row["relevance_score"] for row in found}
    (alone,) = asked(http, "/reranking", model="ranks", query=QUERY, documents=[DOCUMENTS[1]])[
        "results"
    ]
    for index in (1, 6, 21):
        assert math.isclose(scores[index], alone["relevance_score"], abs_tol=1e-3)


def test_only_the_best_and_their_text_where_it_is_wanted(http: httpx2.Client) -> None:
    whole = asked(http, "/v1/reranking", model="ranks", query=QUERY, documents=DOCUMENTS)
    best = asked(
        http,
        "/v1/rerank",
        model="ranks",
        query=QUERY,
        documents=[{"text": one} for one in DOCUMENTS],
        top_n=2,
        return_documents=True,
    )["results"]
    assert [row["index"] for row in best] == [row["index"] for row in whole["results"][:2]]
    assert all(row["document"]["text"] == DOCUMENTS[row["index"]] for row in best)
    of_tei = asked(http, "/rerank", model="ranks", query=QUERY, texts=DOCUMENTS, return_text=True)
    assert [row["index"] for row in of_tei] == [row["index"] for row in whole["results"]]
    assert of_tei[0]["text"] == DOCUMENTS[of_tei[0]["index"]]
    assert "score" in of_tei[0]


def test_a_document_that_is_too_long_is_refused_with_both_counts(http: httpx2.Client) -> None:
    documents = ["it", "cat " * 80]
    said = refused(http, "/v1/rerank", 400, model="ranks", query=QUERY, documents=documents)
    assert "documents[1]" in said
    assert "maximum context length is 64" in said


def test_a_model_that_ranks_gives_no_vectors(http: httpx2.Client) -> None:
    assert "/v1/rerank" in refused(http, "/v1/embeddings", 501, model="ranks", input="a")


# ── filling in ──────────────────────────────────────────────────────────────


def test_a_gap_is_filled_streamed_and_not(http: httpx2.Client) -> None:
    fields = {
        "model": "fills",
        "input_prefix": "def f(x):\n  ",
        "input_suffix": "\n  return y",
        "input_extra": [{"filename": "a.py", "text": "y = 1"}],
        "prompt": "y = ",
        "n_predict": 6,
        "temperature": 0,
        "grammar": "root ::= [a-z]+",
    }
    whole = asked(http, "/infill", **fields)
    assert whole["tokens_predicted"] == 6
    for mark in ("<PRE>", "<SUF>", "<MID>", "y = 1", "return y"):
        assert mark in whole["prompt"]
    with http.stream("POST", "/infill", json={**fields, "stream": True}) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    events = [json.loads(line[5:]) for line in lines]
    assert "".join(event["content"] for event in events) == whole["content"]
    assert events[-1]["stop"] is True


def test_all_of_a_prefix_is_read_where_the_context_has_room(http: httpx2.Client) -> None:
    """llama.cpp alone keeps three quarters of a batch."""
    fields = {"model": "fills", "n_predict": 4, "grammar": "root ::= [a-z]+"}
    fields |= {"input_prefix": "p" * 150, "input_suffix": "s" * 60}
    whole = asked(http, "/infill", **fields)["prompt"]
    assert (whole.count("p"), whole.count("s")) == (150, 61)  # the mark of the beginning is <s>
    fields |= {"input_prefix": "q" + "p" * 400, "input_suffix": "s" * 400 + "z"}
    cut = asked(http, "/infill", **fields)["prompt"]
    assert "q" not in cut
    assert "z" not in cut
    assert cut.count("p") > 2 * cut.count("s") > 90


def test_a_model_with_marks_of_its_own_says_so_in_its_file(http: httpx2.Client) -> None:
    fields = {"model": "fills-otherwise", "input_prefix": "ab", "input_suffix": "yz"}
    whole = asked(http, "/infill", **fields, n_predict=1)["prompt"]
    for mark in ("<before>", "<behind>", "<gap>"):
        assert mark in whole


def test_what_an_editor_sends_ahead_of_typing_is_taken(http: httpx2.Client) -> None:
    """llama.vim warms the cache with a request of which it wants to hear nothing."""
    warm = asked(
        http,
        "/infill",
        model="fills",
        id_slot=0,
        input_prefix="",
        input_suffix="",
        input_extra=[{"text": "y = 1", "time": [1, 2], "filename": "a.py"}],
        prompt="",
        n_predict=0,
        temperature=0.0,
        stream=False,
        samplers=[],
        cache_prompt=True,
        t_max_prompt_ms=1,
        t_max_predict_ms=1,
        response_fields=[""],
    )
    assert warm == {}
