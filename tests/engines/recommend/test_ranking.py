"""What is recommended for machines that are described, the seeds' tiers among them."""

from __future__ import annotations

import functools
import re

import pytest

from noibo.engines.recommend.candidate import Candidate, Wanted, candidates
from noibo.engines.recommend.ranking import Pick, rank, spare
from noibo.engines.recommend.reasons import reasons, size_of
from noibo.engines.recommend.recommendation import Here, predictor, recommendation
from noibo.engines.recommend.tiers import TIERS, next_tier, tier_of
from noibo.engines.recommend.use import USES, Use, context_for, is_vietnamese, speaks_vietnamese
from noibo.engines.recommend.words import WORDS
from noibo.hardware.described import described
from noibo.modelstore.catalog import Catalog, load

MINIMUM, RECOMMENDED, OPTIMAL = "RTX 3060 12GB, 32GB", "RTX 3090 24GB, 64GB", "A100 40GB, 128GB"
WITH_VLLM = frozenset({"llama_cpp", "vllm"})
GGUF = frozenset({"llama_cpp"})


# Models that the seeds name, and one of each other kind: few, so that many machines can be tried.
SOME = frozenset(
    [
        "qwen2.5",
        "qwen2.5-coder",
        "qwen2.5vl",
        "qwen3",
        "qwen3-embedding",
        "llama2",
        "llama3.1",
        "mistral",
        "gemma2",
        "gemma3",
        "gpt-oss",
        "phi4",
        "smollm2",
        "vistral",
        "sailor2",
        "deepseek-coder",
        "codellama",
        "bge-m3",
        "embeddinggemma",
    ]
)


@functools.cache
def catalogue(*, whole: bool = False) -> Catalog:
    every = load()
    families = tuple(one for one in every.families if whole or one.name in SOME)
    return Catalog(every.schema, families, every.publishers, every.templates)


@functools.cache
def variants(use: Use, engines: frozenset[str], whole: bool) -> tuple[Candidate, ...]:
    wanted = Wanted(use, context_for(use), engines=engines)
    return tuple(candidates(catalogue(whole=whole), wanted))


@functools.cache
def ranked(
    machine: str, use: Use = "chat", engines: frozenset[str] = GGUF, whole: bool = False
) -> tuple[Pick, ...]:
    wanted = Wanted(use, context_for(use), engines=engines)
    found = variants(use, engines, whole)
    return tuple(rank(found, described(machine), wanted, predictor()))


def billions(pick: Pick) -> float:
    assert pick.candidate.model.size is not None
    return pick.candidate.model.size.parameters / 1e9


def of_family(picks: tuple[Pick, ...], family: str) -> Pick:
    return next(pick for pick in picks if pick.candidate.model.family.name == family)


# ── the tiers ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("machine", "tier"),
    [
        ("CPU 16GB", "below minimum"),
        ("RTX 3060 8GB, 32GB", "below minimum"),
        (MINIMUM, "minimum"),
        ("RTX 4070 Ti 16GB, 64GB", "minimum"),
        (RECOMMENDED, "recommended"),
        (OPTIMAL, "optimal"),
        ("2x RTX 4090, 128GB", "optimal"),
        ("M2 Max 64GB", "optimal"),
    ],
)
def test_tiers_go_by_the_memory_of_all_gpus(machine: str, tier: str) -> None:
    assert tier_of(described(machine)).name == tier


def test_each_tier_has_a_machine_of_it_as_an_example() -> None:
    assert [tier_of(described(tier.example)) for tier in TIERS] == list(TIERS)
    assert next_tier(TIERS[-1]) is None


@pytest.mark.parametrize(
    ("machine", "least", "most"), [(MINIMUM, 7, 15), (RECOMMENDED, 20, 36), (OPTIMAL, 26, 73)]
)
def test_the_first_of_a_tier_is_of_its_size_and_whole_on_the_card(
    machine: str, least: float, most: float
) -> None:
    first, *_ = ranked(machine, whole=True)
    assert least <= billions(first) <= most
    assert first.whole_on_gpu
    assert first.fit.verdict == "runs well"


def test_the_seeds_model_runs_whole_on_the_minimum() -> None:
    """The third seed: Qwen2.5-7B-Instruct on an RTX 3060 with 12 GB; here the next size fits."""
    pick = of_family(ranked(MINIMUM, "vietnamese"), "qwen2.5")
    assert pick.whole_on_gpu and 7 <= billions(pick) <= 15


def test_the_fifth_seeds_model_is_in_its_own_bits_from_the_recommended_tier_on() -> None:
    """gpt-oss-20b: 12 GB at least, with quantisation; 24 GB recommended."""
    pick = of_family(ranked(RECOMMENDED), "gpt-oss")
    assert (pick.candidate.name, pick.candidate.quantisation) == ("gpt-oss:20b", "MXFP4")
    assert pick.whole_on_gpu and (pick.decode or 0) > 50


def test_what_the_third_seed_calls_impossible_is_not_recommended_to_its_readers() -> None:
    """gpt-oss-120b and models of that size, on hardware of an office."""
    for machine in (MINIMUM, RECOMMENDED):
        assert all(billions(pick) < 100 for pick in ranked(machine, whole=True)[:10])


def test_more_memory_never_recommends_less() -> None:
    first = [ranked(machine)[0] for machine in ("CPU 16GB", MINIMUM, RECOMMENDED, OPTIMAL)]
    assert sorted(first, key=lambda pick: pick.quality) == first


# ── the machine ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("machine", ["CPU 8GB", "CPU 16GB", MINIMUM, OPTIMAL, "M2 Max 64GB"])
def test_nothing_is_recommended_that_does_not_fit(machine: str) -> None:
    hardware = described(machine)
    for pick in ranked(machine):
        assert pick.fit.verdict in {"runs well", "tight"}
        assert pick.fit.ram <= 0.75 * hardware.memory_bytes
        assert pick.spare == spare(pick.fit, hardware) >= 0


def test_a_laptop_is_not_sent_to_wait() -> None:
    for pick in ranked("CPU 8GB")[:3]:
        assert (pick.decode or 0) >= 5
        assert billions(pick) <= 9


@pytest.mark.parametrize("machine", [MINIMUM, RECOMMENDED, OPTIMAL, "2x RTX 3090, 64GB"])
def test_what_is_whole_on_a_card_takes_no_more_than_the_card(machine: str) -> None:
    room = sum(gpu.memory_bytes for gpu in described(machine).gpus)
    whole = [pick for pick in ranked(machine) if pick.whole_on_gpu]
    assert whole
    for pick in whole:
        assert pick.takes == pick.on_gpus == sum(one.bytes for one in pick.fit.offload.devices)
        assert pick.takes + pick.spare < room
        assert f"takes {pick.on_gpus / 1e9:.1f} GB, whole on the GPU" in reasons(pick)["fits"]


def test_each_is_of_another_family() -> None:
    names = [pick.candidate.model.family.name for pick in ranked(RECOMMENDED)]
    assert len(set(names)) == len(names)


def test_bits_go_by_the_room_there_is() -> None:
    def bits(machine: str) -> str:
        return of_family(ranked(machine), "gemma2").candidate.name

    assert "27b" not in bits("RTX 3060 8GB, 16GB")
    assert bits(OPTIMAL).startswith("gemma2:27b")


def test_a_small_model_is_taken_nearly_whole_where_there_is_room() -> None:
    pick = of_family(ranked(OPTIMAL), "phi4")
    assert pick.candidate.quantisation in {"Q8_0", "Q6_K"}


# ── formats for cards ───────────────────────────────────────────────────────


def test_awq_or_gptq_where_it_fits_on_the_card_and_its_engine_is_there() -> None:
    pick = of_family(ranked(RECOMMENDED, "vietnamese", WITH_VLLM), "qwen2.5")
    assert pick.candidate.quantisation in {"AWQ", "GPTQ"}
    assert re.fullmatch(r"hf\.co/Qwen/Qwen2\.5-\d+B-Instruct-(AWQ|GPTQ-Int4)", pick.candidate.name)
    assert pick.whole_on_gpu


def test_without_that_engine_it_is_gguf() -> None:
    assert all(pick.candidate.engine == "llama_cpp" for pick in ranked(MINIMUM, "vietnamese"))


@pytest.mark.parametrize("machine", ["CPU 16GB", "M2 Max 64GB", "RX 7900 XTX, 64GB"])
def test_formats_of_nvidias_cards_are_for_those_only(machine: str) -> None:
    picks = ranked(machine, "vietnamese", WITH_VLLM)
    assert {pick.candidate.engine for pick in picks} == {"llama_cpp"}


# ── uses ────────────────────────────────────────────────────────────────────


def test_for_vietnamese_its_maker_names_it() -> None:
    picks = ranked(MINIMUM, "vietnamese")
    assert picks and all(speaks_vietnamese(pick.candidate.model) for pick in picks)
    assert any(is_vietnamese(pick.candidate.model) for pick in picks[:6])


def test_for_code_a_model_for_code_comes_first() -> None:
    first = ranked(RECOMMENDED, "code")[0].candidate.model
    assert "code" in first.abilities
    chat = [pick.candidate.model.family.name for pick in ranked(RECOMMENDED)[:5]]
    assert first.family.name not in chat


def test_for_pictures_it_sees() -> None:
    for pick in ranked(MINIMUM, "vision"):
        assert "vision" in pick.candidate.model.abilities
        assert pick.candidate.ask.projector_bytes > 0


def test_for_vectors_it_embeds() -> None:
    for pick in ranked("CPU 16GB", "embedding"):
        assert "embedding" in pick.candidate.model.abilities
        assert pick.decode is None


@pytest.mark.parametrize("use", USES)
def test_every_use_has_something_for_an_ordinary_machine(use: Use) -> None:
    assert ranked(MINIMUM, use)


def test_a_context_that_a_model_was_not_made_for_leaves_it_out() -> None:
    def families(context: int) -> set[str]:
        return {one.model.family.name for one in candidates(catalogue(), Wanted("code", context))}

    assert families(16_384) - families(32_768) == {"deepseek-coder", "codellama"}


# ── licences, reasons, commands ─────────────────────────────────────────────


def test_licences_that_are_not_allowed_are_not_recommended() -> None:
    wanted = Wanted("vision", 4096, allowed=("permissive",))
    kinds = {one.licence.kind for one in candidates(catalogue(), wanted)}
    assert kinds == {"permissive"}


def test_both_languages_say_the_same_things() -> None:
    english, vietnamese = WORDS["en"], WORDS["vi"]
    assert set(english.about) == set(vietnamese.about)
    assert set(english.licences) == set(vietnamese.licences)
    assert set(english.tiers) == set(vietnamese.tiers) == {tier.name for tier in TIERS}
    for pick in (*ranked(MINIMUM), *ranked("CPU 16GB"), *ranked(OPTIMAL, "vietnamese", WITH_VLLM)):
        said, cau = reasons(pick), reasons(pick, "vi")
        assert set(said) == set(cau) <= set(english.about)
        assert re.findall(r"[\d.]+ GB", said["fits"]) == re.findall(r"[\d.]+ GB", cau["fits"])


def test_why_a_fit_is_tight_is_said_in_both_languages() -> None:
    found = [*ranked("CPU 8GB"), *ranked("CPU 16GB")]
    tight = [pick for pick in found if pick.fit.verdict == "tight"]
    slow = [pick for pick in tight if "slower than one reads" in pick.fit.why]
    assert slow and len(slow) < len(tight)
    for pick in tight:
        assert f"({pick.fit.why})" in reasons(pick)["fits"]
        said = reasons(pick, "vi")["fits"]
        assert ("chậm hơn" in said) == (pick in slow) != ("có thể cần đến" in said)


def test_large_models_have_no_powers_of_ten() -> None:
    sizes = {size_of(one) for one in load().models}
    assert {"671B (37B active)", "235B (22B active)"} <= sizes
    assert not any("e+" in size for size in sizes)


def test_every_reason_is_given_in_one_line() -> None:
    for pick in ranked(MINIMUM)[:5]:
        said = reasons(pick)
        assert {"fits", "speed", "quality", "vietnamese", "licence"} <= set(said)
        assert all("\n" not in line and line for line in said.values())
        assert "to spare" in said["fits"] and "tokens/s" in said["speed"]


def test_the_command_fetches_exactly_what_was_recommended() -> None:
    from noibo.modelstore.reference import Reference

    catalog = load()
    for pick in ranked(RECOMMENDED)[:10]:
        name = pick.candidate.command.removeprefix("noibo pull ")
        choice = catalog.require(Reference.parse(name))
        assert choice.quantisation == pick.candidate.quantisation
        assert choice.model == pick.candidate.model
        assert choice.origins


def test_a_whole_recommendation_for_documents() -> None:
    found = recommendation(catalogue(), described(MINIMUM), Wanted("rag", 8192))
    assert found.tier.name == "minimum"
    assert found.above is not None and found.above.name == "recommended"
    assert found.above_pick is not None
    assert found.above_pick.quality > found.picks[0].quality
    assert found.beside is not None
    assert "embedding" in found.beside.candidate.model.abilities
    assert speaks_vietnamese(found.beside.candidate.model)


def test_what_is_here_is_run_and_not_fetched_again() -> None:
    first = ranked("CPU 16GB", "embedding")[0].candidate.name
    wanted = Wanted("embedding", 512)
    found = recommendation(catalogue(), described("CPU 16GB"), wanted, Here(frozenset({first})))
    assert found.command(found.picks[0]) == f"noibo run {first}"
    assert found.command(found.picks[1]).startswith("noibo pull ")


def test_an_engine_that_its_format_needs_is_in_the_command() -> None:
    wanted = Wanted("vietnamese", 4096, engines=WITH_VLLM)
    found = recommendation(catalogue(), described(RECOMMENDED), wanted)
    pick = of_family(found.picks, "qwen2.5")
    assert found.command(pick).startswith("noibo engines install vllm && noibo pull hf.co/Qwen/")
