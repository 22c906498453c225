"""The worker shell's protocol, round a model of byte pairs."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from noibo.engines.engine import Model
from noibo.engines.hosted import forms
from noibo.engines.hosted.python_model import Scores
from noibo.errors import InvalidRequest
from tests.engines.hosted.bigram import Bigram, Counted
from tests.engines.hosted.shells import running
from tests.engines.supervised import eventually

pytestmark = pytest.mark.anyio
MESSAGES = [{"role": "user", "content": "Chào"}]


def best(model: Bigram, prompt: str, tokens: int) -> str:
    """What is likeliest, byte by byte."""
    said = list(prompt.encode())
    for _ in range(tokens):
        said.append(int(model.table[said[-1]].argmax()))
    return bytes(said).decode(errors="replace")[len(prompt) :]


async def test_the_likeliest_tokens_are_written_and_counted() -> None:
    model = Bigram()
    async with running(model) as asker:
        found = await asker.chunks(
            "/v1/completions",
            prompt="The ",
            max_tokens=9,
            temperature=0,
            stream_options={"include_usage": True},
        )
    said = "".join(one["choices"][0]["text"] for one in found if one["choices"])
    assert said == best(model, "The ", 9)
    assert found[-2]["choices"][0]["finish_reason"] == "length"
    assert found[-2]["timings"]["prompt_n"] == 4
    assert found[-1]["usage"]["completion_tokens"] == 9
    assert found[-1]["usage"]["prompt_tokens"] == 4


async def test_a_seed_repeats_an_answer_and_another_changes_it() -> None:
    async with running(Bigram()) as asker:
        one, again, other = [
            await asker.text(prompt="a", max_tokens=40, seed=seed, temperature=1.5)
            for seed in (1, 1, 2)
        ]
    assert one == again != other


async def test_nothing_of_a_stop_text_is_told() -> None:
    model = Bigram()
    whole = best(model, "T", 30)
    stop = whole[4:8]
    async with running(model) as asker:
        found = await asker.chunks(
            "/v1/completions", prompt="T", max_tokens=30, temperature=0, stop=[stop, "never"]
        )
    assert "".join(one["choices"][0]["text"] for one in found) == whole[: whole.find(stop)]
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


async def test_who_hangs_up_ends_the_work_within_a_token() -> None:
    model = Bigram(delay_s=0.02)
    async with running(model) as asker:
        body = {"prompt": "a", "max_tokens": 400, "temperature": 0, "stream": True}
        async with asker.session.post(asker.url + "/v1/completions", json=body) as answer:
            await answer.content.readany()
        slots = [True]

        async def look() -> None:
            slots[0] = (await asker.get("/slots"))[0]["is_processing"]

        while slots[0]:
            await look()
        read = model.readings
        await asyncio.sleep(0.1)
    assert model.readings == read < 100


async def test_a_prompt_is_not_read_on_for_nobody() -> None:
    model = Bigram(delay_s=0.01)
    async with running(model, batch=4) as asker:
        body = {"prompt": "a" * 400, "max_tokens": 1, "stream": True, "return_progress": True}
        async with asker.session.post(asker.url + "/v1/completions", json=body) as answer:
            said = await answer.content.readany()
        await eventually(lambda: model.readings > 0)
        while (await asker.get("/slots"))[0]["is_processing"]:
            pass
    assert b'"prompt_progress":{"total":400,"cache":0,"processed":4}' in said
    assert model.readings < 200


async def test_what_was_read_is_not_read_again() -> None:
    model = Bigram()
    async with running(model) as asker:
        await asker.text(prompt="Một câu ngắn", max_tokens=1)
        model.readings = 0
        found = await asker.chunks(
            "/v1/completions",
            prompt="Một câu dài",
            max_tokens=1,
            stream_options={"include_usage": True},
        )
    shared = len("Một câu ".encode())
    assert found[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == shared
    assert model.readings == len("Một câu dài".encode()) - shared


async def test_a_model_that_cannot_go_back_reads_all_of_it_again() -> None:
    model = Bigram(forgets=True)
    async with running(model) as asker:
        one = await asker.text(prompt="abc", max_tokens=2, temperature=0)
        again = await asker.text(prompt="abc", max_tokens=2, temperature=0)
    assert one == again
    assert len(model.read_so_far) == 4  # the prompt, and the first of two that were written


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mirostat", 2),
        ("lora", [{"id": 0}]),
        ("samplers", ["top_k"]),
        ("grammar", "root ::= [a-z]"),
        ("top_p", 2),
        ("logit_bias", {"999999": 1}),
        ("n", 2),
        ("tool_choice", "required"),
    ],
)
async def test_what_is_not_done_is_refused_by_its_name(field: str, value: Any) -> None:
    more = {"tools": [{"type": "function"}]} if field == "tool_choice" else {}
    async with running(Bigram()) as asker:
        status, said = await asker.post("/v1/completions", prompt="a", **{field: value}, **more)
    assert status == 400
    assert said["error"]["param"] == field
    assert field in said["error"]["message"]


async def test_what_asks_for_nothing_is_taken() -> None:
    idle = {"mirostat": 0, "mirostat_tau": 5, "typical_p": 1.0, "n": 1, "stop": None}
    async with running(Bigram()) as asker:
        assert await asker.text(prompt="a", max_tokens=3, **idle)


async def test_a_prompt_that_is_too_long_is_refused_with_both_numbers() -> None:
    async with running(Bigram()) as asker:
        status, said = await asker.post("/v1/completions", prompt="a" * 600)
    assert status == 400
    assert said["error"]["type"] == "exceed_context_size_error"
    assert (said["error"]["n_prompt_tokens"], said["error"]["n_ctx"]) == (600, 512)


async def test_without_the_key_nobody_is_served() -> None:
    async with running(Bigram()) as asker:
        headers = {"Authorization": "Bearer other"}
        async with asker.session.get(asker.url + "/health", headers=headers) as answer:
            assert answer.status == 401


async def test_an_answer_keeps_to_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["An", "Bình"]}, "age": {"type": "integer", "maximum": 9}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    asked = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    forms.constrain(fields, Model("small", "bigram"))
    grammar = msgspec.json.decode(fields["grammar"])
    async with running(Bigram()) as asker:
        for seed in range(4):
            said = await asker.text(prompt="a", grammar=grammar, seed=seed, max_tokens=100)
            found = json.loads(said)
            assert found["name"] in {"An", "Bình"}
            assert found["age"] <= 9


def test_a_schema_that_cannot_be_kept_to_is_refused_before_the_model_is_asked() -> None:
    fields = {"json_schema": msgspec.Raw(b'{"type":"string","pattern":"(?<=a)b"}')}
    with pytest.raises(InvalidRequest) as refused:
        forms.constrain(fields, Model("small", "bigram"))
    assert refused.value.param == "json_schema"


async def test_log_probabilities_are_those_of_the_model() -> None:
    model = Bigram()
    async with running(model) as asker:
        found = await asker.chunks(
            "/v1/completions", prompt="T", max_tokens=3, temperature=0, logprobs=2
        )
    rows = [
        row
        for one in found
        if one["choices"] and one["choices"][0].get("logprobs")
        for row in one["choices"][0]["logprobs"]["content"]
    ]
    said = b"T" + bytes(row["id"] for row in rows)
    for row, before, after in zip(rows, said, said[1:], strict=False):
        assert row["logprob"] == pytest.approx(float(model.table[before, after]), abs=1e-5)
        best_one = row["top_logprobs"][0]["logprob"]  # which, where several are alike, is open
        assert best_one == pytest.approx(float(model.table[before].max()), abs=1e-5)
        assert len(row["top_logprobs"]) == 2


async def test_given_texts_are_scored_after_a_chat_and_before_one() -> None:
    model = Bigram()
    prompts = ["Nội bộ", "Nội địa", "a"]
    async with running(model) as asker:
        before = await asker.text(prompt="Nội", max_tokens=5, temperature=0)
        async with asker.session.post(
            asker.url + "/score", json={"prompts": prompts, "top": 1, "after": True}
        ) as answer:
            lines = [json.loads(line) for line in (await answer.read()).splitlines()]
        assert await asker.text(prompt="Nội", max_tokens=5, temperature=0) == before
    assert sorted(line["index"] for line in lines) == [0, 1, 2]
    for line in lines:
        said = prompts[line["index"]].encode()
        wanted = [float(model.table[a, b]) for a, b in itertools.pairwise(said)]
        assert line["logprobs"][0] is None
        assert line["logprobs"][1:] == pytest.approx(wanted, abs=1e-4)
        assert line["after"][0][0] == int(model.table[said[-1]].argmax())


async def test_a_chat_begins_with_its_role_and_may_call_no_stranger() -> None:
    async with running(Bigram()) as asker:
        found = await asker.chunks("/v1/chat/completions", messages=MESSAGES, max_tokens=4)
        status, said = await asker.post("/v1/chat/completions", messages=[{"content": "a"}])
        counted = await asker.post("/v1/chat/completions/input_tokens", messages=MESSAGES)
        shown = await asker.post("/apply-template", messages=MESSAGES)
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert (status, said["error"]["param"]) == (400, "messages")
    assert shown[1]["prompt"] == "user: Chào\n"
    assert counted[1]["input_tokens"] == len("user: Chào\n".encode())


async def test_tokens_and_texts_become_each_other() -> None:
    async with running(Bigram()) as asker:
        _, found = await asker.post("/tokenize", content=["Chào ", 65, " bạn"], with_pieces=True)
        ids = [one["id"] for one in found["tokens"]]
        _, text = await asker.post("/detokenize", tokens=ids)
        status, _ = await asker.post("/detokenize", tokens=[-1])
    assert text["content"] == "Chào A bạn"
    assert found["tokens"][0]["piece"] == "C"
    assert [195] in [one["piece"] for one in found["tokens"]]  # part of a character
    assert status == 400


async def test_a_first_prompt_is_measured() -> None:
    async with running(Bigram()) as asker:
        status, found = await asker.post(
            "/completion", prompt=[1, 2, 3], n_predict=1, cache_prompt=False
        )
    assert status == 200
    assert found["timings"]["prompt_n"] == 3
    assert found["timings"]["prompt_per_second"] > 0


async def test_vectors_come_in_order_however_they_were_read() -> None:
    model = Counted()
    texts = ["một hai ba bốn năm sáu", "a", "bb", "xin chào các bạn"]
    async with running(embedder=model) as asker:
        _, packed = await asker.post("/v1/embeddings", input=texts, encoding_format="base64")
        _, plain = await asker.post("/v1/embeddings", input=list(texts[1].encode()))
        status, said = await asker.post("/v1/embeddings", input=["a", ""])
        too_long, _ = await asker.post("/v1/embeddings", input="a" * 65)
        writing, _ = await asker.post("/v1/completions", prompt="a")
    rows = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed["data"]]
    for row, text in zip(rows, texts, strict=True):
        wanted = np.bincount(list(text.encode()), minlength=262).astype(np.float32)
        assert np.allclose(row, wanted / np.linalg.norm(wanted))
    assert np.allclose(plain["data"][0]["embedding"], rows[1])
    assert packed["usage"]["prompt_tokens"] == sum(len(text.encode()) for text in texts)
    assert model.batches[0] == [1, 2, 20]  # alike in length, and not too many
    assert (status, said["error"]["param"]) == (400, "input")
    assert too_long == 400
    assert writing == 501


async def test_what_a_library_raises_is_told_and_the_next_answer_is_right(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Failing(Bigram):
        fails = False

        def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
            if self.fails:
                raise RuntimeError("out of memory on device 0")
            return super().read(tokens, each=each)

    model = Failing()
    async with running(model) as asker:
        before = await asker.text(prompt="The ", max_tokens=5, temperature=0)
        model.fails = True
        status, said = await asker.post("/v1/completions", prompt="The model")
        model.fails = False
        after = await asker.text(prompt="The ", max_tokens=5, temperature=0)
    assert (status, said["error"]["type"]) == (500, "server_error")
    assert "out of memory on device 0" in said["error"]["message"]
    assert "Traceback" in capfd.readouterr().err
    assert before == after


async def test_scores_that_fail_say_why_and_leave_nothing_behind(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Failing(Bigram):
        fails = True

        def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
            if self.fails:
                raise RuntimeError("out of memory on device 0")
            return super().read(tokens, each=each)

    async def line() -> dict[str, Any]:
        async with asker.session.post(asker.url + "/score", json={"prompts": ["ab"]}) as answer:
            found: dict[str, Any] = json.loads(await answer.read())
        return found

    model = Failing()
    async with running(model) as asker:
        failed = await line()
        model.fails = False
        after = await line()
    assert "out of memory on device 0" in failed["error"]["message"]
    assert "llama.cpp" not in failed["error"]["message"]
    assert "Traceback" in capfd.readouterr().err
    wanted = float(model.table[ord("a"), ord("b")])
    assert after["logprobs"] == [None, pytest.approx(wanted, abs=1e-4)]


async def test_who_scores_takes_the_slot() -> None:
    async with running(Bigram(delay_s=0.01)) as asker:
        asked = asker.session.post(asker.url + "/score", json={"prompts": ["a" * 100]})
        scoring = asyncio.ensure_future(asked)

        async def busy() -> bool:
            return bool((await asker.get("/slots"))[0]["is_processing"])

        async with asyncio.timeout(30):
            while not await busy():
                await asyncio.sleep(0.001)
            async with await scoring as answer:
                await answer.read()
            while await busy():
                await asyncio.sleep(0.001)
