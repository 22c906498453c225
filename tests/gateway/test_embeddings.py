"""Embeddings of the real model through the official OpenAI client, and raw where it cannot ask."""

from __future__ import annotations

import base64
import inspect
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from noibo.wire import embeddings
from tests.running import RunningServer

MODEL = "smollm2:135m"
WIDTH = 576
TEXTS = ["The cat sat on the mat.", "A kitten rests on a rug.", "Interest rates rose in March."]
Vector = list[float]


@pytest.fixture(scope="module")
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real_server.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def http(real_server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=real_server.url, timeout=120) as made:
        yield made


def asked(http: httpx2.Client, path: str = "/v1/embeddings", **fields: Any) -> Any:
    answer = http.post(path, json={"model": MODEL, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def vectors(client: openai.OpenAI, said: Any, **fields: Any) -> list[Vector]:
    found = client.embeddings.create(model=MODEL, input=said, **fields)
    return [row.embedding for row in found.data]


def cosine(one: Vector, other: Vector) -> float:
    lengths = math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / lengths


def refused(client: openai.OpenAI, **fields: Any) -> openai.BadRequestError:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(**{"model": MODEL, "input": "x", **fields})
    return caught.value


def test_a_text_becomes_a_vector_of_length_one(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model=MODEL, input=TEXTS[0])
    assert found.object == "list"
    assert found.model == MODEL
    assert [(row.index, row.object) for row in found.data] == [(0, "embedding")]
    vector = found.data[0].embedding
    assert len(vector) == WIDTH
    assert math.isclose(math.fsum(x * x for x in vector), 1, rel_tol=1e-4)


def test_the_tokens_that_were_read_are_counted(client: openai.OpenAI, http: httpx2.Client) -> None:
    counted = [len(asked(http, "/tokenize", content=text)["tokens"]) for text in TEXTS]
    usage = client.embeddings.create(model=MODEL, input=TEXTS).usage
    assert usage.prompt_tokens == usage.total_tokens == sum(counted)


def test_what_means_the_same_lies_closer(client: openai.OpenAI) -> None:
    cat, kitten, rates = vectors(client, TEXTS)
    assert cosine(cat, kitten) > cosine(cat, rates)


def test_a_vector_does_not_depend_on_its_neighbours_or_their_order(client: openai.OpenAI) -> None:
    texts = [*TEXTS, *(f"{'word ' * n}number {n}" for n in (0, 3, 40))]
    together = vectors(client, texts)
    turned = vectors(client, texts[::-1])[::-1]
    for number in (1, 5):
        (alone,) = vectors(client, texts[number])
        assert cosine(alone, together[number]) > 0.9999
        assert cosine(alone, turned[number]) > 0.9999
    assert cosine(together[0], together[5]) < 0.999


def test_more_inputs_than_a_piece_keep_their_order(client: openai.OpenAI) -> None:
    tokens = [[300 + 7 * number] for number in range(40)]
    together = vectors(client, tokens)
    assert len({tuple(vector[:8]) for vector in together}) == 40
    (last,) = vectors(client, [tokens[39]])
    assert cosine(last, together[39]) > 0.9999


def test_tokens_give_the_vector_of_their_text(client: openai.OpenAI, http: httpx2.Client) -> None:
    lists = [asked(http, "/tokenize", content=text)["tokens"] for text in TEXTS]
    of_texts = vectors(client, TEXTS)
    for of_text, of_list in zip(of_texts, vectors(client, lists), strict=True):
        assert cosine(of_text, of_list) > 0.9999
    (of_one,) = vectors(client, lists[0])
    assert cosine(of_one, of_texts[0]) > 0.9999


def test_base64_is_the_same_floats_and_is_what_the_client_asks_for(http: httpx2.Client) -> None:
    text = asked(http, input=TEXTS[0], encoding_format="base64")["data"][0]["embedding"]
    numbers = asked(http, input=TEXTS[0], encoding_format="float")["data"][0]["embedding"]
    assert isinstance(text, str)
    packed = struct.unpack(f"<{WIDTH}f", base64.b64decode(text))
    assert cosine(list(packed), numbers) > 0.9999
    assert asked(http, input=TEXTS[0])["data"][0]["embedding"][0] == pytest.approx(numbers[0])


def test_fewer_dimensions_are_the_first_ones_of_length_one_again(client: openai.OpenAI) -> None:
    (whole,) = vectors(client, TEXTS[0], encoding_format="float")
    (first,) = vectors(client, TEXTS[0], dimensions=64)
    assert len(first) == 64
    assert math.isclose(math.fsum(x * x for x in first), 1, rel_tol=1e-4)
    assert cosine(first, whole[:64]) > 0.9999
    assert len(vectors(client, TEXTS[0], dimensions=WIDTH)[0]) == WIDTH


@pytest.mark.parametrize("wrong", [0, -1, WIDTH + 1])
def test_dimensions_that_there_are_not_are_refused(client: openai.OpenAI, wrong: int) -> None:
    assert refused(client, dimensions=wrong).param == "dimensions"


def test_a_text_that_is_too_long_is_refused_with_both_counts(
    client: openai.OpenAI, http: httpx2.Client
) -> None:
    long = "word " * 2500
    tokens = len(asked(http, "/tokenize", content=long)["tokens"])
    error = refused(client, input=["short", long])
    assert f"input[1] resulted in {tokens} tokens" in str(error)
    assert "maximum context length is 2048" in str(error)
    assert error.code == "context_length_exceeded"
    assert error.param == "input"
    assert "2049 tokens" in str(refused(client, input=[[5] * 2049]))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("", "input is empty"),
        ([], "empty list"),
        (["a", ""], "input[1] is empty"),
        ([[1, 2], []], "input[1] is empty"),
        (["a"] * 2049, "2049 entries"),
        ([49152], "the token 49152"),
        ([[1, 2], [10**9]], "input[1] has the token 1000000000"),
        ([-1], "negative"),
        ([[5, -1]], "negative"),
        (["a", 1], "mixes"),
        ([[1], 1], "mixes"),
        ([[1, "a"]], "mixes"),
        ([1.5], "input"),
        ([True], "input"),
        ([None], "input"),
        ([{}], "input"),
        ([[[1]]], "input"),
        ({"text": "a"}, "input"),
        (5, "input"),
        (None, "input is missing"),
    ],
)
def test_an_input_that_is_none_is_refused_and_named(
    client: openai.OpenAI, said: Any, says: str
) -> None:
    error = refused(client, input=said)
    assert error.param == "input"
    assert says in str(error)


def test_other_fields_of_the_wrong_kind_are_refused_and_named(client: openai.OpenAI) -> None:
    assert refused(client, extra_body={"encoding_format": "int8"}).param == "encoding_format"
    assert refused(client, dimensions="many").param == "dimensions"
    assert refused(client, user=5).param == "user"
    assert refused(client, model=5).param == "model"
    assert refused(client, extra_body={"keep_alive": "soon"}).param == "keep_alive"


def test_a_field_that_only_the_engine_knows_reaches_it(http: httpx2.Client) -> None:
    (row,) = asked(http, input=TEXTS[0], embd_normalize=-1)["data"]
    assert math.fsum(x * x for x in row["embedding"]) > 2


# What every parameter of the official client changes of the answer to `PLAIN`, or None: nothing.
PLAIN: dict[str, Any] = {"model": MODEL, "input": "x", "encoding_format": "float"}
CHANGES: dict[str, tuple[Any, Callable[[Any], Any] | None]] = {
    "input": ("y", lambda answer: answer["data"][0]["embedding"]),
    "model": ("echo", lambda answer: answer.get("model")),  # which cannot embed
    "dimensions": (8, lambda answer: len(answer["data"][0]["embedding"])),
    "encoding_format": ("base64", lambda answer: type(answer["data"][0]["embedding"])),
    "user": ("u", None),
}


def test_every_parameter_of_the_official_client_has_a_verdict() -> None:
    transport = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
    parameters = inspect.signature(openai.resources.Embeddings.create).parameters
    assert set(parameters) - transport == set(CHANGES)
    assert set(CHANGES) | {"content", "keep_alive"} == set(embeddings.READ)


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_what_it_says_and_no_other_does(http: httpx2.Client, name: str) -> None:
    value, seen = CHANGES[name]
    plain, other = (
        http.post("/v1/embeddings", json=PLAIN | fields).json() for fields in ({}, {name: value})
    )
    if seen is None:
        assert other == plain
    else:
        assert seen(other) != seen(plain)


def test_the_worker_that_embeds_stands_beside_the_one_that_chats(
    client: openai.OpenAI, real_server: RunningServer
) -> None:
    vectors(client, TEXTS[0])
    with real_server.client() as noibo:
        rows = {row.verb: row for row in noibo.workers() if row.model == MODEL}
    assert {"generate", "embed"} <= set(rows)
    assert rows["embed"].pid != rows["generate"].pid
    assert rows["embed"].tokens_in > 0


def test_llama_servers_own_shape(http: httpx2.Client) -> None:
    for path, name in (("/embedding", "content"), ("/embeddings", "input")):
        rows = asked(http, path, **{name: TEXTS})
        assert [row["index"] for row in rows] == [0, 1, 2]
        assert all(len(row["embedding"]) == 1 for row in rows)
        of_openai = asked(http, input=TEXTS)["data"]
        assert cosine(rows[1]["embedding"][0], of_openai[1]["embedding"]) > 0.9999
    (mixed,) = asked(http, "/embedding", content=[504, " cat sat"])
    assert len(mixed["embedding"][0]) == WIDTH


def test_unprefixed_with_openais_field_is_openais_shape(real_server: RunningServer) -> None:
    with openai.OpenAI(base_url=real_server.url, api_key="any", max_retries=0) as unprefixed:
        assert len(vectors(unprefixed, TEXTS)) == 3


def test_an_engine_that_cannot_embed_says_so(http: httpx2.Client) -> None:
    answer = http.post("/v1/embeddings", json={"model": "echo", "input": "x"})
    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "not_supported"


def test_ids_of_another_tokenizer_are_refused_only_where_they_are_not_here(
    client: openai.OpenAI, http: httpx2.Client
) -> None:
    """langchain-openai sends ids of OpenAI's tokenizer unless `check_embedding_ctx_length=False`.
    Of an id that is here too nobody can tell that it means another word."""
    error = refused(client, input=[[9906, 1917, 100257]])
    assert "tokenizer" in str(error)
    hello_world = [9906, 1917]  # of cl100k
    assert asked(http, "/detokenize", tokens=hello_world)["content"] != "Hello world"
    assert len(vectors(client, [hello_world])) == 1
