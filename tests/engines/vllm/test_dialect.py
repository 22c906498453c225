"""What vLLM is asked, and what it answered when it was (0.32.0, SmolLM2-135M-Instruct)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noibo.engines import line
from noibo.engines.engine import Model
from noibo.engines.remote.answer import Said
from noibo.engines.vllm.dialect import COUNT, Vllm
from noibo.engines.vllm.pieces import Pieces
from noibo.errors import InvalidRequest
from noibo.wire.openai.scores import Line

pytestmark = pytest.mark.anyio
VLLM = Vllm("smol", Pieces(byte_level=True))
SCORED = {
    "choices": [
        {
            "index": 0,
            "text": " a",
            "logprobs": {
                "tokens": ["token_id:253"],
                "top_logprobs": [{"token_id:253": -1.7311, "token_id:441": -3.1061}],
            },
            "finish_reason": "length",
            "token_ids": [253],
            "prompt_logprobs": [
                None,
                {
                    "905": {"logprob": -10.8856, "rank": 1704, "decoded_token": " world"},
                    "29": {"logprob": -0.7606, "rank": 1, "decoded_token": "-"},
                    "28": {"logprob": -2.3856, "rank": 2, "decoded_token": ","},
                },
                {
                    "314": {"logprob": -3.8118, "rank": 7, "decoded_token": " is"},
                    "282": {"logprob": -1.4368, "rank": 1, "decoded_token": " of"},
                    "28": {"logprob": -1.8118, "rank": 2, "decoded_token": ","},
                },
            ],
            "prompt_token_ids": [19556, 905, 314],
        },
        {
            "index": 1,
            "text": "",
            "logprobs": {"tokens": ["token_id:2"], "top_logprobs": [{"token_id:2": -0.8367}]},
            "finish_reason": "stop",
            "token_ids": [2],
            "prompt_logprobs": [None],
            "prompt_token_ids": [504],
        },
    ]
}


class Server:
    """Answers what was recorded, and keeps what was asked."""

    def __init__(self, answers: Mapping[str, Any], status: int = 200) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answers, self._status = answers, status

    async def fetch(self, path: str, body: bytes) -> line.Response:
        self.asked.append((path, json.loads(body) if body else None))
        found = self._answers.get(path)
        said = found.pop(0) if isinstance(found, list) else found  # one after the other
        return Said(self._status, {}, msgspec.json.encode(said))


async def ask(server: Server, path: str, fields: Mapping[str, Any]) -> bytes:
    question = await VLLM.question(path, fields, server.fetch, None)
    return await question.told(await server.fetch(question.path, question.body)).read()


async def test_a_text_is_tokenised_with_the_bytes_of_each_token() -> None:
    said = {
        "count": 4,
        "tokens": [19556, 267, 31604, 111],
        "token_strs": ["Hello", "Ġw", "áº", "¡"],
    }
    server = Server({"/tokenize": said})
    asked = {"content": "Hello wạ", "add_special": False, "with_pieces": True}
    assert json.loads(await ask(server, "/tokenize", asked))["tokens"] == [
        {"id": 19556, "piece": "Hello"},
        {"id": 267, "piece": " w"},
        {"id": 31604, "piece": [0xE1, 0xBA]},  # half of a character
        {"id": 111, "piece": [0xA1]},
    ]
    ((_, sent),) = server.asked
    assert (sent["prompt"], sent["add_special_tokens"]) == ("Hello wạ", False)


async def test_tokens_alone_and_back_to_text() -> None:
    server = Server({"/tokenize": {"tokens": [1, 2]}, "/detokenize": {"prompt": "hi"}})
    assert json.loads(await ask(server, "/tokenize", {"content": "hi"})) == {"tokens": [1, 2]}
    assert json.loads(await ask(server, "/detokenize", {"tokens": [1]})) == {"content": "hi"}


async def test_a_chat_is_counted_and_filled_in_by_its_template() -> None:
    answers = {"/tokenize": {"count": 31, "tokens": [1, 9690]}, "/detokenize": {"prompt": "<|im"}}
    server = Server(answers)
    chat = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]'), "temperature": 0}
    assert json.loads(await ask(server, COUNT, chat)) == {"input_tokens": 31}
    assert json.loads(await ask(server, "/apply-template", chat)) == {"prompt": "<|im"}
    assert server.asked[0][1]["add_generation_prompt"] is True
    assert "temperature" not in server.asked[0][1]
    assert server.asked[2] == ("/detokenize", {"model": "smol", "tokens": [1, 9690]})


async def test_a_chat_that_the_template_refuses_is_refused() -> None:
    server = Server({"/tokenize": {"error": {"message": "no such role"}}}, status=400)
    question = await VLLM.question("/apply-template", {"messages": []}, server.fetch, None)
    told = question.told(await server.fetch(question.path, question.body))
    assert told.status == 400
    assert b"no such role" in await told.read()


async def test_scores_are_told_as_lines() -> None:
    each = [{"choices": [choice]} for choice in SCORED["choices"]]
    server = Server({"/v1/completions": each})
    asked = {"prompts": ["Hello world is", "The"], "top": 2, "after": True, "each": 3, "most": 900}
    said = await ask(server, "/score", {k: msgspec.Raw(json.dumps(v)) for k, v in asked.items()})
    first, second = (msgspec.json.decode(one, type=Line) for one in said.splitlines())
    assert first.tokens == [19556, 905, 314]
    assert first.logprobs == [None, -10.8856, -3.8118]
    assert first.ranks == [None, 1704, 7]
    assert first.likeliest[1] == [(29, -0.7606), (28, -2.3856), (905, -10.8856)]
    assert first.after == [(253, -1.7311), (441, -3.1061)]
    assert first.piece(19556) == b"Hello"  # vLLM says nothing of it: what is left of the prompt
    assert first.piece(253) == b" a"
    assert (first.ends, second.ends) == ([], [2])
    assert (first.index, second.index) == (0, 1)
    (_, sent), (_, next_sent) = server.asked  # a prompt each
    assert (sent["prompt"], next_sent["prompt"]) == ("Hello world is", "The")
    assert (sent["max_tokens"], sent["prompt_logprobs"], sent["temperature"]) == (1, 2, 0)


async def test_the_first_token_of_a_prompt_in_tokens_is_asked_for() -> None:
    server = Server(
        {"/v1/completions": {"choices": SCORED["choices"][:1]}, "/detokenize": {"prompt": "Hello"}}
    )
    said = await ask(server, "/score", {"prompts": [[19556, 905, 314]]})
    assert msgspec.json.decode(said, type=Line).piece(19556) == b"Hello"
    assert server.asked[0] == ("/detokenize", {"model": "smol", "tokens": [19556]})


async def test_prompts_that_are_too_many_are_refused_after_they_were_counted() -> None:
    server = Server({"/tokenize": [{"count": 4}, {"count": 3}]})
    asked = {"prompts": ["a" * 30, "b", [1, 2]], "each": 5, "most": 44}
    with pytest.raises(InvalidRequest, match=r"9 tokens; with 5 .* are 45, and at most 44"):
        await ask(server, "/score", asked)
    assert [path for path, _ in server.asked] == ["/tokenize", "/tokenize"]  # none was scored


async def test_prompts_that_are_counted_as_few_are_scored() -> None:
    answers = {"/tokenize": {"count": 3}, "/v1/completions": {"choices": SCORED["choices"][:1]}}
    server = Server(answers)
    await ask(server, "/score", {"prompts": ["Hello world is"], "each": 5, "most": 15})
    assert [path for path, _ in server.asked] == ["/tokenize", "/v1/completions"]


async def test_a_prompt_that_is_refused_is_told_as_it_was() -> None:
    server = Server({"/v1/completions": {"error": {"message": "too long"}}}, status=400)
    question = await VLLM.question("/score", {"prompts": ["a", "b"]}, server.fetch, None)
    assert len(server.asked) == 1  # the second is not asked any more
    told = question.told(await server.fetch(question.path, question.body))
    assert (told.status, b"too long" in await told.read()) == (400, True)


@pytest.mark.parametrize("asked", [{"prompts": ["a"], "top": 51}])
async def test_what_vllm_cannot_score_is_refused(asked: Mapping[str, Any]) -> None:
    server = Server({})
    with pytest.raises(InvalidRequest):
        await ask(server, "/score", asked)
    assert server.asked == []


async def test_an_answer_goes_as_it_is_and_an_adapter_by_its_name() -> None:
    server = Server({})
    dialect = Vllm("smol", adapters=frozenset({"smol-support"}))
    for name, there in (("anything", "smol"), ("smol-support", "smol-support")):
        asked = {"model": msgspec.Raw(json.dumps(name)), "x": 1}
        question = await dialect.question("/v1/chat/completions", asked, server.fetch, None)
        await server.fetch(question.path, question.body)
        assert server.asked[-1] == ("/v1/chat/completions", {"model": there, "x": 1})


def test_sentencepiece_writes_spaces_and_bytes_otherwise() -> None:
    pieces = Pieces()
    assert pieces.bytes_of("▁xin") == b" xin"
    assert pieces.bytes_of("<0xE1>") == b"\xe1"
    assert pieces.bytes_of("é") == "é".encode()
    assert Pieces(byte_level=True).bytes_of("Ã©") == "é".encode()
    assert Pieces(byte_level=True).bytes_of("<|kết|>") == "<|kết|>".encode()


def test_which_of_both_is_read_from_the_tokenizers_file(tmp_path: Path) -> None:
    model = Model("smol", "vllm", tmp_path, format="safetensors")
    assert Vllm.of(model).pieces.byte_level is False  # there is none
    (tmp_path / "tokenizer.json").write_text('{"decoder": {"type": "ByteLevel"}}')
    assert Vllm.of(model).pieces.byte_level is True
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").symlink_to("/dev/zero")  # has no end
    assert Vllm.of(model).pieces.byte_level is False
