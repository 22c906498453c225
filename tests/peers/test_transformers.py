"""Our log-probabilities against those of transformers on the same weights, dequantised."""

from __future__ import annotations

import statistics

import openai
import pytest

from tests.peers.conftest import Peers
from tests.running import RunningServer

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]
MODEL = "smollm2:135m"
TEXTS = (
    "The water cycle describes how water evaporates from the surface of the earth, rises into the "
    "atmosphere, cools and condenses into rain or snow in clouds, and falls again to the surface.",
    "Question: What is the boiling point of water at sea level?\nAnswer: 100 degrees Celsius.",
    "def add(a, b):\n    return a + b\n\nprint(add(2, 3))\n",
    "Việt Nam là một quốc gia nằm ở phía đông bán đảo Đông Dương, thuộc khu vực Đông Nam Á. "
    "Thủ đô của Việt Nam là Hà Nội.",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nParis.",
)


def test_the_mean_difference_is_that_of_quantised_arithmetic(
    real_server: RunningServer, peers: Peers, capsys: pytest.CaptureFixture[str]
) -> None:
    with openai.OpenAI(base_url=real_server.url + "/v1", api_key="none") as client:
        found = client.completions.create(
            model=MODEL, prompt=list(TEXTS), echo=True, logprobs=0, max_tokens=0
        )
        asked = {"cast_to": dict, "path": real_server.url + "/tokenize"}
        ids = [
            client.post(**asked, body={"model": MODEL, "content": text, "add_special": True})
            for text in TEXTS
        ]
    differences = []
    tokens = [one["tokens"] for one in ids]
    for choice, theirs in zip(found.choices, peers.scores(tokens), strict=True):
        assert choice.logprobs is not None
        ours = choice.logprobs.token_logprobs[1:]
        differences += [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    mean, largest = statistics.mean(differences), max(differences)
    with capsys.disabled():
        print(f"\n{len(differences)} tokens: mean {mean:.4f}, largest {largest:.4f} nat")
    assert mean < 0.15
    assert largest < 1.5
