"""Expressions for any of many words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.word_tree import any_of, behind

WORDS = st.sets(st.text("abc .-đ", min_size=1, max_size=5), min_size=1, max_size=8)


@given(WORDS, st.text("aAbBcC .-đĐ", max_size=8))
def test_the_longest_word_that_stands_there_is_found(words, text):
    found = re.match(any_of(words), text)
    fitting = [word for word in words if text.lower().startswith(word)]
    assert (found.end() if found else 0) == max(map(len, fitting), default=0)


@given(WORDS, st.text("abc", max_size=8))
def test_a_shorter_word_is_found_where_the_longer_cannot_go_on(words, text):
    tree, list_ = (rf"(?:{one})$" for one in (any_of(words), "|".join(map(re.escape, words))))
    assert bool(re.match(tree, text)) == bool(re.match(list_, text))


@pytest.mark.parametrize(
    ("text", "found"),
    [("Phường 5", True), ("q. 5", True), ("TP 5", True), ("iq 5", False), ("sáp 5", False)],
)
def test_looks_back_at_the_end_of_a_word(text, found):
    expression = rf"[ .](?:{behind(('phường', 'q', 'tp'))})"
    assert bool(re.search(expression, text)) == found
