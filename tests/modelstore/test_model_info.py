import json

import pytest

from noibo.errors import BadModelFile
from noibo.modelstore.gguf.ggml_types import FILE_TYPES
from noibo.modelstore.gguf.model_info import ModelInfo, inspect_model
from tests.modelstore.gguf_builder import BOOL, CODES, F32, I32, STRING, U16, U32, Gguf, llama


def info_of(tmp_path, file: Gguf) -> ModelInfo:
    path = tmp_path / "model.gguf"
    path.write_bytes(file.bytes())
    return inspect_model(path)


def test_a_model_is_described(tmp_path):
    file = (
        llama()
        .key("general.license", STRING, "other")
        .key("general.license.name", STRING, "house")
        .key("general.license.link", STRING, "https://example.org/licence")
        .list_key("general.languages", STRING, ["vi", "en"])
        .list_key("general.tags", STRING, ["chat"])
        .key("llama.attention.head_count_kv", U32, 2)
        .key("llama.expert_count", U32, 8)
        .key("llama.expert_used_count", U32, 2)
        .key("tokenizer.ggml.model", STRING, "gpt2")
        .key("tokenizer.ggml.pre", STRING, "smollm")
        .key("tokenizer.ggml.bos_token_id", U32, 1)
        .key("tokenizer.ggml.eos_token_id", U32, 2)
        .key("tokenizer.chat_template", STRING, "{{ messages }}")
        .key("tokenizer.chat_template.tool_use", STRING, "{{ tools }}")
    )
    info = info_of(tmp_path, file)
    assert (info.kind, info.name, info.architecture) == ("model", "Tiny", "llama")
    assert (info.tensors, info.parameters) == (2, 264)
    assert (info.file_type, info.quantisation) == ("Q4_K_M", "Q4_0")
    assert info.bits_per_weight == round(8 * (144 + 32) / 264, 2)
    assert (info.context_length, info.layers, info.embedding_length) == (2048, 2, 64)
    assert (info.heads, info.kv_heads, info.key_length, info.value_length) == (4, 2, 16, 16)
    assert (info.experts, info.experts_used) == (8, 2)
    assert (info.tokenizer, info.tokenizer_pre, info.vocabulary_size) == ("gpt2", "smollm", 4)
    assert (info.bos_id, info.eos_id) == (1, 2)
    assert (info.licence, info.licence_name) == ("other", "house")
    assert info.licence_link == "https://example.org/licence"
    assert (info.languages, info.tags) == (("vi", "en"), ("chat",))
    assert info.chat_template == "{{ messages }}"
    assert info.chat_templates == {"tool_use": "{{ tools }}"}
    assert json.loads(json.dumps(info.as_dict()))["languages"] == ["vi", "en"]


def test_an_empty_file_says_nothing(tmp_path):
    info = info_of(tmp_path, Gguf())
    said = {key for key, value in info.as_dict().items() if value not in (None, (), {}, 0)}
    assert said == {"kind", "file_size", "gguf_version"}
    assert info.kind == "vocabulary"


def test_heads_that_differ_by_layer_give_the_largest(tmp_path):
    file = Gguf().key("general.architecture", STRING, "gemma3n")
    file.list_key("gemma3n.attention.head_count", U32, [8, 16, 8])
    file.list_key("gemma3n.attention.head_count_kv", I32, [2, 4, 0])
    info = info_of(tmp_path, file)
    assert (info.heads, info.kv_heads) == (16, 4)


def test_kv_heads_and_head_dimensions_are_derived_as_llama_cpp_does(tmp_path):
    info = info_of(tmp_path, llama())
    assert (info.heads, info.kv_heads, info.key_length) == (4, 4, 16)
    info = info_of(tmp_path, llama().key("llama.attention.key_length", U32, 128))
    assert (info.key_length, info.value_length) == (128, 16)


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("general.type", "adapter", "adapter"),
        ("adapter.type", "lora", "adapter"),
        ("general.type", "mmproj", "projector"),
        ("general.architecture", "clip", "projector"),
        ("general.type", "imatrix", "imatrix"),
        ("general.type", "model", "model"),
    ],
)
def test_kinds_are_told_apart(tmp_path, key, value, kind):
    file = Gguf().key(key, STRING, value).tensor("t", (8,))
    assert info_of(tmp_path, file).kind == kind


def test_adapter_and_projector_types_are_named(tmp_path):
    file = Gguf().key("adapter.type", STRING, "lora").key("clip.projector_type", STRING, "mlp")
    info = info_of(tmp_path, file)
    assert (info.adapter, info.projector) == ("lora", "mlp")


def test_parts_count_from_1(tmp_path):
    file = Gguf().key("split.no", U16, 0).key("split.count", U16, 3)
    info = info_of(tmp_path, file)
    assert (info.part, info.parts, info.kind) == (1, 3, "model")


@pytest.mark.parametrize(("number", "count"), [(3, 3), (0, 1), (0, 0), (65535, 2)])
def test_parts_that_cannot_be_are_not_said(tmp_path, number, count):
    info = info_of(tmp_path, Gguf().key("split.no", U16, number).key("split.count", U16, count))
    assert (info.part, info.parts) == (None, None)


def test_pooling_is_named(tmp_path):
    file = Gguf().key("general.architecture", STRING, "bert")
    assert info_of(tmp_path, file.key("bert.pooling_type", U32, 2)).pooling == "cls"


def test_a_guessed_file_type_is_named(tmp_path):
    assert info_of(tmp_path, Gguf().key("general.file_type", U32, 1024 + 18)).file_type == "Q6_K"
    assert info_of(tmp_path, Gguf().key("general.file_type", U32, 999)).file_type is None


def test_every_file_type_has_one_name():
    assert len(set(FILE_TYPES.values())) == len(FILE_TYPES)


def _keys_asked_for() -> list[str]:
    general = ["name", "organization", "size_label", "license", "license.name", "license.link"]
    general += ["languages", "tags", "type", "file_type"]
    shape = ["context_length", "block_count", "embedding_length", "feed_forward_length"]
    shape += ["attention.head_count", "attention.head_count_kv", "attention.key_length"]
    shape += ["attention.value_length", "expert_count", "expert_used_count", "pooling_type"]
    tokens = ["ggml.model", "ggml.pre", "ggml.tokens", "ggml.bos_token_id", "ggml.eos_token_id"]
    tokens += ["chat_template", "chat_template.rag"]
    other = ["adapter.type", "clip.projector_type", "split.no", "split.count"]
    return (
        [f"general.{key}" for key in general]
        + [f"llama.{key}" for key in [*shape, "vocab_size"]]
        + [f"tokenizer.{key}" for key in tokens]
        + other
    )


@pytest.mark.parametrize("kind", [*CODES, STRING])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_value_of_any_type_under_any_key_is_no_traceback(tmp_path, kind, as_list):
    file = Gguf().key("general.architecture", STRING, "llama")
    value = "x" if kind == STRING else 1.5 if CODES[kind] in "fd" else 1
    for key in _keys_asked_for():
        if as_list:
            file.list_key(key, kind, [value] * 3)
        else:
            file.key(key, kind, value)
    json.dumps(info_of(tmp_path, file).as_dict())


def test_values_of_the_wrong_type_are_not_said(tmp_path):
    file = (
        Gguf()
        .key("general.architecture", STRING, "llama")
        .key("general.name", U32, 7)
        .key("llama.context_length", STRING, "a lot")
        .key("llama.block_count", BOOL, 1)
        .key("llama.embedding_length", F32, 64.0)
        .key("llama.attention.head_count", I32, -4)
        .list_key("llama.expert_count", STRING, ["8"])
        .list_key("llama.attention.head_count_kv", I32, [])
        .list_key("general.tags", U32, [1])
        .key("tokenizer.ggml.tokens", U32, 5)
        .key("tokenizer.chat_template", U32, 5)
    )
    info = info_of(tmp_path, file)
    assert info.name is info.context_length is info.layers is info.embedding_length is None
    assert info.heads is info.kv_heads is info.experts is None
    assert info.vocabulary_size is info.chat_template is None
    assert info.tags == ()


@pytest.mark.parametrize("kind", [*CODES, STRING])
def test_an_architecture_of_the_wrong_type_is_not_said(tmp_path, kind):
    file = Gguf().key("llama.context_length", U32, 7)
    file.key("general.architecture", kind, "x" if kind == STRING else 1)
    info = info_of(tmp_path, file)
    assert info.architecture == ("x" if kind == STRING else None)
    assert info.context_length is None


def test_a_damaged_file_is_refused(tmp_path):
    with pytest.raises(BadModelFile):
        info_of(tmp_path, llama(version=1))


def test_a_real_model_is_described(smollm2_gguf):
    info = inspect_model(smollm2_gguf)
    assert (info.architecture, info.file_type, info.licence) == ("llama", "Q4_1", "apache-2.0")
    assert (info.parameters, info.layers, info.context_length) == (134_515_008, 30, 8192)
    assert (info.heads, info.kv_heads, info.key_length) == (9, 3, 64)
    assert info.vocabulary_size == 49152
