"""Prompts of a set length that share no beginning."""

from __future__ import annotations

import itertools

from noibo.evaluation.prompts import ASKED, Measure, probes, prompt


def test_the_same_seed_gives_the_same_prompt_and_another_another() -> None:
    assert prompt(50, 0, "1/1/4/0", "a") == prompt(50, 0, "1/1/4/0", "a")
    assert prompt(50, 0, "1/1/4/0", "a") != prompt(50, 0, "1/1/4/1", "a")


def test_prompts_share_no_beginning() -> None:
    made = [prompt(60, 0, f"1/1/4/{number}", "a") for number in range(50)]
    starts = [one.split()[:3] for one in made]
    alike = sum(one == other for one, other in itertools.combinations(starts, 2))
    assert alike == 0


def test_sides_are_asked_the_same_words_after_two_of_their_own() -> None:
    ours, theirs = (prompt(60, 0, "1/1/4/0", side).split() for side in ("a", "b"))
    assert ours[:2] != theirs[:2]
    assert ours[2:] == theirs[2:]


def test_a_shared_prefix_is_shared_by_all_and_the_rest_by_none() -> None:
    made = [prompt(60, 40, f"1/1/4/{number}", side).split() for number in (0, 1) for side in "ab"]
    assert all(one[:40] == made[0][:40] for one in made)
    assert len({tuple(one[40:]) for one in made}) == 4


def test_a_prompt_has_the_words_that_were_wanted() -> None:
    for words, shared in ((1, 0), (2, 0), (60, 0), (60, 59), (60, 40)):
        assert len(prompt(words, shared, "x", "a").removesuffix(ASKED).split()) == words


def test_the_length_is_learnt_from_what_a_server_counts() -> None:
    short, long = (len(text.split()) for text in probes(1, "a"))
    words = (short - len(ASKED.split()), long - len(ASKED.split()))
    measure = Measure.of(*(20 + round(1.25 * many) for many in words))
    assert measure.known
    assert 20 + 1.25 * measure.words(500) == 500
    assert measure.words(5) == 1


def test_a_server_that_does_not_count_gets_what_is_usual() -> None:
    for counted in ((None, None), (10, 10), (10, None)):
        assert not Measure.of(*counted).known


def test_a_server_that_counts_what_cannot_be_makes_no_prompt_longer() -> None:
    for counted in ((0, 1), (0, 2**31), (2**31, 0), (2**31 - 1, 2**31)):
        assert Measure.of(*counted) == Measure()
    assert Measure.of(0, 40).words(32_000) < 65_000
    assert Measure.of(2**31 - 80, 2**31).words(32_000) == 1
