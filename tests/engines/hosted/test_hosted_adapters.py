"""What the server knows of checkpoints, and how it has them run, without importing an engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.engine import Model, Speed, Verb
from noibo.engines.environments.environment import PYTHON, RECORD, Environments
from noibo.engines.hosted import installed
from noibo.engines.hosted.adapter import Transformers
from noibo.engines.hosted.folder import LARGEST, Folder, chat_template, files_of
from noibo.engines.hosted.openvino_adapter import OpenVino
from noibo.engines.memory.size import Size, Use
from noibo.errors import BadModelFile, EngineMissing, NotSupported
from noibo.model_settings import ModelSettings

WRITER = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "float16",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
}
ENCODER = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 250037,
    "max_position_embeddings": 512,
}


def folder(path: Path, config: object = WRITER, weights: str = "model.safetensors") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / weights).write_bytes(b"{}")
    return path


def model(path: Path, **more: object) -> Model:
    usual = {"parameters": 134_515_008, "format": "safetensors", "trained_context": 8192}
    return Model("small", "transformers", path, **usual | more)  # type: ignore[arg-type]


@pytest.fixture
def environment(tmp_path: Path) -> Environments:
    """An environment with transformers in it, as its record says."""
    home = tmp_path / "home"
    place = home / "engines" / "transformers"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    said = {"name": "transformers", "engine": "transformers", "package": "transformers"}
    more = {"version": "5.23.0", "build": "cpu", "python": PYTHON, "trusted_at": 1.0}
    (place / RECORD).write_text(json.dumps(said | more))
    return Environments(home)


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    found = Folder.of(folder(tmp_path / "one"))
    assert (found.writes, found.dtype, found.keys, found.layers) == (True, "float16", 192, 30)
    (tmp_path / "two" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "two" / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    encoder = Folder.of(folder(tmp_path / "two", ENCODER))
    assert (encoder.writes, encoder.pooling, encoder.positions) == (False, "cls", 512)


def test_a_folder_that_changed_is_read_again(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert Folder.of(path).layers == 30
    (path / "config.json").write_text(json.dumps(WRITER | {"num_hidden_layers": 2}))
    assert Folder.of(path).layers == 2


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_refused_with_what_to_do(tmp_path: Path, weights: str) -> None:
    with pytest.raises(NotSupported, match="pickles") as refused:
        Folder.of(folder(tmp_path, weights=weights))
    assert "safetensors" in (refused.value.next_step or "")


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        '"a"',
        '{"a": ' + "[" * 100_000,
        '{"hidden_size": ' + "9" * 5000 + "}",
        '{"a": "' + "x" * LARGEST + '"}',
    ],
    ids=["half", "a list", "a text", "too deep", "too many digits", "too large"],
)
def test_a_configuration_that_is_none_is_an_error(tmp_path: Path, config: str) -> None:
    path = folder(tmp_path)
    (path / "config.json").write_text(config)
    with pytest.raises(BadModelFile):
        Folder.of(path)


@pytest.mark.parametrize("said", [7, "a", {"0": "x"}, ["a"], [[]], [{}], None, True])
@pytest.mark.parametrize(
    "name",
    [
        "architectures",
        "model_type",
        "dtype",
        "torch_dtype",
        "text_config",
        "pad_token_id",
        "num_attention_heads",
        "max_position_embeddings",
    ],
)
def test_a_field_of_a_strange_kind_says_nothing(tmp_path: Path, name: str, said: object) -> None:
    found = Folder.of(folder(tmp_path, {**ENCODER, "model_type": "roberta", name: said}))
    assert all(isinstance(one, str) for one in (found.kind, found.dtype, found.pooling))
    assert found.positions >= 0


def test_templates_of_a_strange_kind_are_none(tmp_path: Path) -> None:
    path = folder(tmp_path)
    for said in (7, {"name": "default"}, [7, None, {"name": "default", "template": 7}]):
        (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": said}))
        assert chat_template(path) == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_what_is_no_ordinary_file_is_not_read(tmp_path: Path, what: str) -> None:
    path = folder(tmp_path)
    (path / "config.json").unlink()
    if what == "pipe":
        os.mkfifo(path / "config.json")
    else:
        (path / "config.json").symlink_to("/dev/zero")
    with pytest.raises(BadModelFile, match="ordinary file"):
        Folder.of(path)


@pytest.mark.parametrize(
    ("kind", "pad", "longest"),
    [("xlm-roberta", 1, 512), ("roberta", None, 512), ("roberta", 0, 513), ("bert", 0, 514)],
)
def test_positions_before_a_text_are_not_counted(
    tmp_path: Path, kind: str, pad: int | None, longest: int
) -> None:
    config = ENCODER | {"model_type": kind, "max_position_embeddings": 514, "pad_token_id": pad}
    path = folder(tmp_path, config)
    assert Folder.of(path).positions == longest
    sizes = OpenVino().sizes(
        model(path, trained_context=514), settings.Engine(ctx_size=9000), Use(), 0
    )
    assert [size.context for size in sizes] == [longest]


def test_a_worker_may_read_what_links_of_a_hubs_cache_lead_to_and_nothing_else(
    tmp_path: Path,
) -> None:
    repository, secret = tmp_path / "models--a--b", tmp_path / "secret"
    secret.write_text("x")
    snapshot, blobs = repository / "snapshots" / "c0ffee", repository / "blobs"
    folder(snapshot)
    blobs.mkdir()
    (snapshot / "model.safetensors").rename(blobs / "ab12")
    (snapshot / "model.safetensors").symlink_to("../../blobs/ab12")
    (snapshot / "id_rsa").symlink_to(secret)
    (snapshot / "up").symlink_to("../../blobs/../../secret")
    (snapshot / "round").symlink_to("round")
    assert set(files_of(snapshot)) == {snapshot, (blobs / "ab12").resolve()}


def test_numbers_out_of_all_bounds_are_no_numbers(tmp_path: Path) -> None:
    wild = {"num_hidden_layers": -1, "hidden_size": 2**60, "vocab_size": "many"}
    found = Folder.of(folder(tmp_path, WRITER | wild))
    assert (found.layers, found.width, found.vocabulary) == (0, 0, 0)


def test_encoders_are_for_openvino_and_all_else_for_transformers(tmp_path: Path) -> None:
    assert Folder.of(folder(tmp_path / "a")).engine == "transformers"
    assert Folder.of(folder(tmp_path / "b", ENCODER)).engine == "openvino"
    assert (
        Folder.of(folder(tmp_path / "c", ENCODER | {"model_type": "t5"})).engine == "transformers"
    )


def test_a_template_is_found_beside_the_tokenizer_and_alone(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert chat_template(path) == ""
    several = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    assert chat_template(path) == "d"
    (path / "chat_template.jinja").write_text("alone")
    assert chat_template(path) == "alone"


def test_a_missing_engine_names_the_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "NEEDED", ("no_such_module",))
    monkeypatch.setattr(installed, "OF_OPENVINO", ("no_such_module",))
    with pytest.raises(EngineMissing) as missing:
        Transformers().available()
    assert missing.value.next_step == "`noibo engines install transformers`."
    with pytest.raises(EngineMissing, match="no_such_module"):
        OpenVino().available()


def test_the_server_looks_for_torch_and_does_not_import_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from noibo.assembly import open_engines\n"
        "from noibo.errors import EngineMissing\n"
        "from noibo.settings import load\n"
        "for engine in open_engines(load()).values():\n"
        "    try:\n        engine.available()\n    except EngineMissing:\n        pass\n"
        "print({'torch', 'transformers', 'openvino', 'tokenizers'} & set(sys.modules))\n"
    )
    environ = {"NOIBO_HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_worker_is_run_by_the_environments_python(
    tmp_path: Path, environment: Environments
) -> None:
    engine = Transformers(lambda: environment.get("transformers"))
    options = ModelSettings(load_in="nf4", device_map="cpu").loading
    asked = engine.serving(model(folder(tmp_path / "m"), options=options), Verb.SCORE)
    launch = engine.launch(asked, Size(1024, 1), settings.Engine(), Speed())
    assert engine.available() == "transformers 5.23.0 (cpu)"
    assert launch.python == str(environment.folder / "transformers" / "bin" / "python")
    assert launch.config["dtype"] == "bfloat16"  # float16 is slow on a processor
    assert launch.config["load_in"] == "nf4"
    assert launch.config["verb"] == "generate"
    assert launch.reads == (tmp_path / "m",)


def test_rounded_weights_take_less(tmp_path: Path) -> None:
    engine, limits = Transformers(), settings.Engine()
    path = folder(tmp_path)
    plain, eight, four = (
        engine.need(
            model(path, options=ModelSettings(load_in=how).loading),  # type: ignore[arg-type]
            Size(1024, 1),
            limits,
        ).weights
        for how in ("", "8bit", "nf4")
    )
    assert plain > eight > four
    assert plain == 2 * 134_515_008


def test_one_answer_at_a_time_is_said(tmp_path: Path) -> None:
    sizes = Transformers().sizes(
        model(folder(tmp_path)), settings.Engine(parallel=8), Use(callers=9), 0
    )
    assert {size.parallel for size in sizes} == {1}
    assert sizes[0].context > sizes[-1].context


def test_what_only_embeds_does_not_write(tmp_path: Path) -> None:
    path = folder(tmp_path, ENCODER)
    for engine in (Transformers(), OpenVino()):
        assert engine.serving(model(path), Verb.TOKENISE).verb is Verb.EMBED
        with pytest.raises(NotSupported, match="only embeds"):
            engine.serving(model(path), Verb.GENERATE)


def test_a_gguf_is_for_other_engines(tmp_path: Path) -> None:
    with pytest.raises(NotSupported):
        Transformers().sizes(model(tmp_path, format="gguf"), settings.Engine(), Use(), 0)
