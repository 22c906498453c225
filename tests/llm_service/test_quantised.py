from __future__ import annotations

import pytest

from noibo.errors import InvalidRequest, QuantisationMissing
from noibo.llm_service.quantised import Variant, Wish, choose
from noibo.settings import Llm

FETCH = "`noibo pull it`"


def variants(*quantisations: str) -> list[Variant]:
    return [Variant(f"small-{one}", one) for one in quantisations]


def chosen(bits: int, *quantisations: str) -> tuple[str, str]:
    variant, note = choose(Wish(bits), variants(*quantisations), FETCH)
    return variant.quantisation, note


@pytest.mark.parametrize(
    ("use", "eight", "four", "bits"),
    [(True, True, False, 8), (True, False, True, 4), (True, False, False, 0), (False, True, 0, 16)],
)
def test_the_switches_of_transformers_are_bits(
    use: bool, eight: bool, four: bool, bits: int
) -> None:
    llm = Llm(use_quantization=use, load_in_8bit=eight, load_in_4bit=bool(four))
    assert Wish.of(llm).bits == bits


def test_eight_and_four_at_once_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="both"):
        Wish.of(Llm(load_in_8bit=True, load_in_4bit=True))


@pytest.mark.parametrize(("bits", "name"), [(8, "Q8_0"), (4, "Q4_K_M"), (16, "F16")])
def test_just_what_is_meant_is_taken_and_nothing_said(bits: int, name: str) -> None:
    assert chosen(bits, "Q4_0", "Q8_0", "BF16", "Q4_K_M", "F16") == (name, "")


def test_another_of_as_many_bits_does_and_is_said() -> None:
    quantisation, note = chosen(4, "F16", "Q4_1", "Q8_0")
    assert quantisation == "Q4_1"
    assert "Q4_1" in note
    assert chosen(16, "BF16")[0] == "BF16"


def test_fewer_bits_take_less_memory_and_are_said_with_how_to_have_more() -> None:
    quantisation, note = chosen(8, "Q4_K_M", "Q6_K", "F16")
    assert quantisation == "Q6_K"
    assert "Q6_K" in note
    assert FETCH in note


def test_more_bits_than_asked_for_are_never_taken() -> None:
    with pytest.raises(QuantisationMissing) as caught:
        chosen(4, "F16", "Q8_0")
    assert "Q4_K_M" in caught.value.message
    assert caught.value.next_step == FETCH


def test_a_name_that_says_no_bits_counts_as_large() -> None:
    with pytest.raises(QuantisationMissing):
        chosen(8, "")
    assert chosen(8, "UD-Q5_K_XL")[0] == "UD-Q5_K_XL"
