"""llama-server's own routes, asked as its clients ask them: of a small model that writes nonsense,
fast, and where sense counts of the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.running import RunningServer, until

PROMPT = "say something"
LETTERS = "root ::= [a-z]+"  # the small model would say bytes of nothing
ASK = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def http(small: httpx2.Client) -> httpx2.Client:
    return small


@pytest.fixture
def real(real_server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=real_server.url, timeout=170) as made:
        yield made


def asked(http: httpx2.Client, path: str, **fields: Any) -> Any:
    answer = http.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def completed(http: httpx2.Client, **fields: Any) -> Any:
    wanted = {"prompt": PROMPT, "n_predict": 8, "temperature": 0, "grammar": LETTERS}
    return asked(http, "/completion", **{**wanted, **fields})


def streamed(http: httpx2.Client, path: str = "/completion", **fields: Any) -> list[Any]:
    wanted = {"prompt": PROMPT, "n_predict": 8, "temperature": 0, "grammar": LETTERS}
    body = {**wanted, "stream": True, **fields}
    with http.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    return [json.loads(line[5:]) for line in lines]


def refusal(http: httpx2.Client, path: str, status: int = 400, **fields: Any) -> Any:
    answer = http.post(path, json=fields)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == status
    return error


# ── /completion ─────────────────────────────────────────────────────────────


def test_a_completion_has_llama_servers_shape(http: httpx2.Client) -> None:
    found = completed(http)
    assert len(found["content"]) > 0
    assert found["stop"] is True
    assert found["stop_type"] == "limit"
    assert found["tokens_predicted"] == found["timings"]["predicted_n"] == 8
    assert found["tokens_evaluated"] == len(PROMPT) + 2  # letters, and what stands before them
    assert found["generation_settings"]["n_predict"] == 8
    assert found["generation_settings"]["stream"] is False
    assert found["tokens"] == []
    assert found["model"].startswith("fills")
    assert "prompt_progress" not in found


def test_the_real_model_goes_on_with_a_text(real: httpx2.Client) -> None:
    found = completed(real, prompt="The capital of France is", n_predict=4, grammar="")
    assert "Paris" in found["content"]
    stopped = completed(
        real, prompt="The capital of France is", n_predict=4, grammar="", stop="Paris"
    )
    assert "Paris" not in stopped["content"]
    assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", "Paris")


def test_a_streamed_completion_is_the_same_text(http: httpx2.Client) -> None:
    completed(http)  # the prompt is in the cache from here on, for both sides alike
    events = streamed(http)
    assert "".join(event["content"] for event in events) == completed(http)["content"]
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert not any("prompt_progress" in event for event in events)
    assert any("prompt_progress" in event for event in streamed(http, return_progress=True))


def test_both_names_of_the_route_are_native(http: httpx2.Client) -> None:
    whole = asked(http, "/completions", prompt=PROMPT, n_predict=3)
    assert "content" in whole
    assert "choices" not in whole


def test_a_prompt_may_be_tokens_or_both_mixed(real: httpx2.Client) -> None:
    tokens = asked(real, "/tokenize", content="The capital of France is")["tokens"]
    for prompt in (tokens, [*tokens[:2], " of France is"]):
        assert "Paris" in completed(real, prompt=prompt, n_predict=2, grammar="")["content"]


def test_several_prompts_get_a_list_of_answers(http: httpx2.Client) -> None:
    found = completed(http, prompt=[PROMPT, "xyz"])
    assert [one["index"] for one in found] == [0, 1]
    assert found[0]["content"] == completed(http)["content"]
    assert found[1]["content"] == completed(http, prompt="xyz")["content"]
    assert isinstance(completed(http, prompt=[PROMPT]), dict)


def test_probabilities_of_every_token_are_joined(http: httpx2.Client) -> None:
    found = completed(http, n_probs=3, return_tokens=True)
    rows = found["completion_probabilities"]
    assert len(rows) == len(found["tokens"]) == 8
    assert [row["id"] for row in rows] == found["tokens"]
    assert all(len(row["top_logprobs"]) == 3 for row in rows)
    after = completed(http, n_probs=2, post_sampling_probs=True, temperature=1)
    assert all("top_probs" in row for row in after["completion_probabilities"])


def test_a_grammar_a_schema_and_stop_words_hold(http: httpx2.Client, real: httpx2.Client) -> None:
    assert completed(http, grammar='root ::= "yes" | "no"')["content"] in {"yes", "no"}
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    schema["additionalProperties"] = False
    of_schema = completed(real, json_schema=schema, n_predict=40, grammar=None)["content"]
    assert json.loads(of_schema)["n"] in {1, 2}
    grammar = 'root ::= "abcdef"'
    for stop in (["cd"], "cd"):
        stopped = completed(http, grammar=grammar, stop=stop)
        assert stopped["content"] == "ab"
        assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", "cd")


def test_samplers_seed_and_bias_reach_the_engine(http: httpx2.Client) -> None:
    settings = completed(
        http, samplers=["top_k", "temperature"], top_k=7, seed=5, min_p=0.3, cache_prompt=False
    )["generation_settings"]
    assert settings["samplers"] == ["top_k", "temperature"]
    assert (settings["top_k"], settings["seed"]) == (7, 5)
    assert settings["min_p"] == pytest.approx(0.3)
    (first,) = completed(http, n_predict=1, return_tokens=True)["tokens"]
    other = completed(http, n_predict=1, return_tokens=True, logit_bias=[[first, False]])["tokens"]
    assert other != [first]


def test_only_the_fields_that_are_wanted_come(http: httpx2.Client) -> None:
    wanted = ["content", "timings/predicted_n", "generation_settings/n_predict", "nothing/here"]
    found = completed(http, response_fields=wanted)
    assert set(found) == set(wanted[:3])
    assert found["generation_settings/n_predict"] == 8
    assert completed(http, response_fields=[""]) == {}


def test_a_slot_can_be_named(http: httpx2.Client) -> None:
    assert completed(http, id_slot=1)["id_slot"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": None},
        {"prompt": {"a": 1}},
        {"prompt": 5},
        {"prompt": [10**9]},
        {"n_predict": "many"},
        {"stream": "perhaps"},
        {"id_slot": -2},
        {"id_slot": "first"},
        {"samplers": ["magic"]},
        {"logit_bias": 5},
        {"mirostat": 9},
        {"min_p": 7},
        {"grammar": 5},
        {"json_schema": {"type": "foo"}},
        {"grammar": "root ::= ("},
        {"json_schema": 5},
        {"samplers": 5},
        {"response_fields": "content"},
        {"return_tokens": 1},
        {"keep_alive": "soon"},
        {"n_probs": -1},
        {"stop": 5},
        {"lora": 5},
        {"model": 5},
        {"prompt": "word " * 3000},
    ],
)
def test_what_cannot_be_is_a_400_of_this_apis_shape(
    http: httpx2.Client, wrong: dict[str, Any]
) -> None:
    error = refusal(http, "/completion", **{"prompt": PROMPT, "n_predict": 2, **wrong})
    assert error["message"]


def test_a_broken_body_is_a_400_of_this_apis_shape(http: httpx2.Client) -> None:
    for path in ("/completion", "/tokenize", "/infill", "/embedding"):
        for body in (b"", b"{", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":"\xff"}'):
            answer = http.post(path, content=body)
            assert answer.status_code == 400, (path, body)
            assert answer.json()["error"]["code"] == 400


def test_an_unstreamed_completion_is_cancelled_by_leaving(real_server: RunningServer) -> None:
    with httpx2.Client(base_url=real_server.url, timeout=120) as client:

        def busy() -> int:
            return sum(row["is_processing"] for row in client.get("/slots").json())

        endless = {"prompt": PROMPT, "n_predict": 1900, "ignore_eos": True}
        with (
            httpx2.Client(base_url=real_server.url, timeout=1) as impatient,
            pytest.raises(httpx2.ReadTimeout),
        ):
            impatient.post("/completion", json=endless)
        until(lambda: busy() == 0, "the slot is free again")


# ── models ──────────────────────────────────────────────────────────────────


def test_the_model_may_stand_in_the_address(http: httpx2.Client) -> None:
    body = {"prompt": PROMPT, "n_predict": 1}
    assert http.post("/completion?model=fills", json=body).json()["model"].startswith("fills")
    answer = http.post("/completion?model=nothing", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert http.get("/props?model=nothing").status_code == 404


def test_chat_and_models_without_a_prefix_are_openais(http: httpx2.Client) -> None:
    whole = asked(http, "/chat/completions", messages=ASK, max_tokens=4)
    assert whole["choices"][0]["message"]["role"] == "assistant"
    response = asked(http, "/responses", input="Hi", max_output_tokens=16)
    assert response["object"] == "response"
    assert http.post("/audio/transcriptions").status_code == 501
    assert http.get("/models").json() == http.get("/v1/models").json()
    assert http.get("/v1/health").json() == {"status": "ok"}


# ── tokens and templates ────────────────────────────────────────────────────


def test_text_becomes_tokens_and_text_again(real: httpx2.Client) -> None:
    http = real
    text = "Xin chào, thế giới! <|im_start|>"
    tokens = asked(http, "/tokenize", content=text)["tokens"]
    assert asked(http, "/detokenize", tokens=tokens)["content"] == text
    plain = asked(http, "/tokenize", content=text, parse_special=False)["tokens"]
    assert len(plain) > len(tokens)
    with_pieces = asked(http, "/tokenize", content="Hello world", with_pieces=True)["tokens"]
    assert "".join(one["piece"] for one in with_pieces) == "Hello world"
    mixed = asked(http, "/tokenize", content=["Hello", 504], add_special=True)["tokens"]
    assert mixed[-1] == 504
    assert asked(http, "/tokenize")["tokens"] == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/tokenize", {"content": 5}),
        ("/tokenize", {"content": [1.5]}),
        ("/tokenize", {"content": [10**9], "with_pieces": True}),
        ("/tokenize", {"content": "a", "add_special": "yes"}),
        ("/tokenize", {"content": "a", "with_pieces": 1}),
        ("/detokenize", {"tokens": "abc"}),
        ("/detokenize", {"tokens": [10**9]}),
        ("/detokenize", {"tokens": [357]}),
        ("/detokenize", {"tokens": [-1]}),
        ("/detokenize", {"tokens": [[1]]}),
        ("/apply-template", {}),
        ("/apply-template", {"messages": "Hi"}),
        ("/apply-template", {"messages": [5]}),
        ("/apply-template", {"messages": [{"role": 5, "content": []}]}),
        ("/apply-template", {"messages": [{"role": "user", "content": 5}]}),
        ("/apply-template", {"messages": ASK, "tools": "none"}),
        ("/chat/completions/input_tokens", {"messages": None}),
    ],
)
def test_what_is_no_text_token_or_chat_is_refused(
    http: httpx2.Client, path: str, wrong: dict[str, Any]
) -> None:
    assert refusal(http, path, **wrong)["type"] == "invalid_request_error"


def test_a_chat_becomes_the_text_of_its_template(real: httpx2.Client) -> None:
    http = real
    prompt = asked(http, "/apply-template", messages=ASK)["prompt"]
    assert prompt.endswith("<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n")
    counted = asked(http, "/chat/completions/input_tokens", messages=ASK)["input_tokens"]
    assert counted == len(asked(http, "/tokenize", content=prompt)["tokens"])


# ── looking ─────────────────────────────────────────────────────────────────


def test_properties_say_what_a_model_is_set_to(http: httpx2.Client) -> None:
    found = http.get("/props").json()
    assert found["total_slots"] >= 1
    assert found["default_generation_settings"]["n_ctx"] == 256
    assert found["chat_template"]
    assert http.get("/props?autoload=false").status_code == 200
    not_loaded = http.get("/props", params={"model": "echo", "autoload": "false"})
    assert not_loaded.status_code == 400


def test_slots_hold_nobodys_words(http: httpx2.Client) -> None:
    secret = "the password is swordfish"
    completed(http, prompt=secret, stop=["flounder"], grammar='root ::= "halibut"')
    answer = http.get("/slots")
    rows = answer.json()
    assert [row["id"] for row in rows] == list(range(len(rows)))
    assert all(row["n_ctx"] == 256 for row in rows)
    assert any("params" in row for row in rows)
    assert not any(word in answer.text for word in ("swordfish", "flounder", "halibut"))


def test_a_model_that_is_not_loaded_has_no_slots(http: httpx2.Client) -> None:
    assert http.get("/slots", params={"model": "echo"}).json() == []


def test_adapters_are_listed(http: httpx2.Client) -> None:
    assert http.get("/lora-adapters").json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/props"),
        ("POST", "/lora-adapters"),
        ("POST", "/slots/0?action=erase"),
        ("POST", "/models/load"),
        ("POST", "/models/unload"),
        ("GET", "/tools"),
        ("POST", "/v1/chat/completions/control"),
        ("GET", "/v1/streams"),
    ],
)
def test_what_llama_server_has_and_noibo_has_not_is_a_501(
    http: httpx2.Client, method: str, path: str
) -> None:
    answer = http.request(method, path, json={})
    assert answer.status_code == 501
    assert answer.json()["error"]["message"]


# ── models of a kind ────────────────────────────────────────────────────────


def test_a_model_that_does_not_rank_says_which_do(http: httpx2.Client) -> None:
    for path in ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking"):
        answer = http.post(path, json={"query": "a", "documents": ["b"]})
        assert answer.status_code == 501
        assert "bge-reranker" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": 5},
        {"query": ""},
        {"query": None},
        {"documents": []},
        {"documents": "text"},
        {"documents": [5]},
        {"documents": [""]},
        {"documents": [{"no": "text"}]},
        {"documents": ["a"] * 2049},
        {"top_n": 0},
        {"top_n": "all"},
        {"return_documents": "yes"},
    ],
)
def test_a_ranking_that_cannot_be_is_refused(http: httpx2.Client, wrong: dict[str, Any]) -> None:
    answer = http.post("/v1/rerank", json={"query": "a", "documents": ["b"], **wrong})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(wrong))


def test_a_model_that_cannot_fill_in_says_which_can(real: httpx2.Client) -> None:
    error = refusal(real, "/infill", 501, input_prefix="a", input_suffix="b")
    assert "qwen2.5-coder" in error["message"]
    assert error["type"] == "not_supported_error"


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_prefix": None},
        {"input_suffix": 5},
        {"prompt": ["a"]},
        {"input_extra": "a"},
        {"input_extra": [{"filename": "a"}]},
        {"input_extra": [{"text": "a", "filename": 5}]},
    ],
)
def test_an_infill_that_cannot_be_is_refused(http: httpx2.Client, wrong: dict[str, Any]) -> None:
    error = refusal(http, "/infill", **{"input_prefix": "a", "input_suffix": "b", **wrong})
    assert next(iter(wrong)) in error["message"]
