"""What is redacted comes back as it was, whatever it says and wherever the stream is cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from noibo.privacy.placeholder import SEEN
from noibo.privacy.redaction import Redaction
from noibo.privacy.restoring import Restorer
from noibo.privacy.span import Span

KINDS = ["PERSON", "PHONE", "BANK_ACCOUNT", "API_KEY", "TEXT", "số nhà"]
# What is hard: pieces of placeholders, in every dress a model gives them.
TRICKY = [
    *(
        "<PERSON_1>",
        "PERSON_1",
        "<person_1>",
        "&lt;PERSON_1&gt;",
        "\\u003cPHONE_1\\u003e",
        "<",
        ">",
    ),
    *(
        "<PERSON\\_1>",
        "\\<PERSON_1\\>",
        "< PERSON 1 >",
        "PERSON_",
        "_1",
        "1",
        "\\",
        "&lt;",
        "b",
        "%3C",
    ),
    *(
        "<TEXT_1>",
        "<PERSON_1b>",
        "BANK_ACCOUNT_1",
        "Nguyễn Văn A",
        "NGUYỄN VĂN A",
        " ",
        "0912345678",
    ),
    *("+84 912 345 678", "\n", '"', "<PHONE_2", "PHONE_2>", "é", "e\u0301", "🙂"),
]
pieces = st.one_of(st.sampled_from(TRICKY), st.text(max_size=6))
words = st.lists(pieces, max_size=14)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text and findings in it, some of which overlap."""
    said = draw(words)
    text = "".join(said)
    ends = list(itertools.accumulate(map(len, said), initial=0))
    places = st.tuples(st.sampled_from(ends), st.sampled_from(ends), st.sampled_from(KINDS))
    found = draw(st.lists(places, max_size=6))
    return text, [Span(min(a, b), max(a, b), kind) for a, b, kind in found]


def streamed(redaction: Redaction, text: str, cuts: list[int]) -> str:
    restorer = Restorer(redaction)
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    told = [restorer.feed(text[a:b]) for a, b in itertools.pairwise(ends)]
    return "".join(told) + restorer.end()


@given(st.lists(marked(), max_size=4), st.lists(st.integers(0, 200), max_size=30))
@example([("PERSON_1<PERSON_1>", [Span(0, 8, "PERSON")])], [1])
@example(
    [
        ("<PERSON_1>", [Span(0, 10, "BANK_ACCOUNT")]),
        ("<PERSON_1><PERSON_1>", [Span(0, 20, "PHONE")]),
        (r"\u003cPHONE_1\u003eBANK_ACCOUNT_1", []),
    ],
    [],
)
@example([("0912345678PERSON_1 0912345678", [Span(0, 10, "PHONE"), Span(19, 29, "PERSON")])], [])
def test_a_conversation_comes_back_as_it_was(
    texts: list[tuple[str, list[Span]]], cuts: list[int]
) -> None:
    redaction = Redaction()
    redacted = [redaction.redact(text, spans) for text, spans in texts]
    for (text, _), said in zip(texts, redacted, strict=True):
        assert redaction.restore(said) == text
        assert streamed(redaction, said, cuts) == text
        assert streamed(redaction, said, list(range(len(said)))) == text


@given(
    st.lists(marked(), min_size=1, max_size=3), words, st.lists(st.integers(0, 200), max_size=30)
)
def test_where_a_stream_is_cut_changes_nothing(
    texts: list[tuple[str, list[Span]]], answer: list[str], cuts: list[int]
) -> None:
    redaction = Redaction()
    for text, spans in texts:
        redaction.redact(text, spans)
    said = "".join(answer)
    assert streamed(redaction, said, cuts) == redaction.restore(said)


@given(words)
def test_nothing_is_held_back_that_cannot_become_a_placeholder(answer: list[str]) -> None:
    redaction = Redaction()
    redaction.redact("An 0912345678", [Span(0, 2, "PERSON"), Span(3, 13, "PHONE")])
    restorer = Restorer(redaction)
    for piece in answer:
        restorer.feed(piece)
        held = restorer.held
        assert not held or any(
            redaction.restore(held + more) != held + more for more in ENDINGS if more
        ), held


# What may follow the beginning of a placeholder of An and of the number.
ENDINGS = [
    kind[cut:] + closing
    for kind in (
        *(
            "<PERSON_1>",
            "\\<PERSON_1\\>",
            "&lt;PERSON_1&gt;",
            "\\u003cPERSON_1\\u003e",
            "%3CPERSON_1%3E",
        ),
        *(
            "<PHONE_1>",
            "\\<PHONE_1\\>",
            "&lt;PHONE_1&gt;",
            "\\u003cPHONE_1\\u003e",
            "%3CPHONE_1%3E",
        ),
        *("PERSON_1", "PHONE_1", " PERSON_1>", " PHONE_1>", "\\_1>", "\\_1\\>", "\\_1&gt;", "\\_1"),
        *(
            "\\u003Cperson 1\\u003E",
            "> ",
            "_1\\u003e",
            "_1%3e",
            "PERSON_1\\u003e",
            "PHONE_1\\u003E",
        ),
    )
    for cut in range(len(kind))
    for closing in ("", " ")
]


def told(said: str) -> str:
    redaction = Redaction()
    redaction.redact("An, 12", [Span(0, 2, "PERSON"), Span(4, 6, "BANK_ACCOUNT")])
    return redaction.restore(said)


@pytest.mark.parametrize(
    "said",
    [
        *("<PERSON_1>", "<person_1>", "<Person_1>", "< PERSON_1 >", "PERSON_1", "<PERSON\\_1>"),
        *("\\<PERSON_1\\>", "&lt;PERSON_1&gt;", "\\u003cPERSON_1\\u003e", "\\u003CPERSON_1\\u003E"),
        *("<PERSON 1>", "<PERSON-1>", "<PERSON_01>", "%3CPERSON_1%3E", "<PERSON1>", "<PERSON_1/>"),
    ],
)
def test_what_models_make_of_placeholders_is_known_again(said: str) -> None:
    assert told(f"Chào {said}, và **{said}**!") == "Chào An, và **An**!"
    assert told(f"[{said}](x)") == "[An](x)"


def test_a_kind_of_two_words_is_known_again() -> None:
    assert told("<BANK_ACCOUNT_1> <bank account 1> BANK\\_ACCOUNT\\_1") == "12 12 12"


@pytest.mark.parametrize(
    "said",
    [
        "<PERSON_2>",
        "<PERSON_11>",
        "PERSON_10",
        "person_1 = 3",
        "XPERSON_1",
        "PERSON_1x",
        "<PERSON_1c>",
    ],
)
def test_what_is_no_placeholder_of_the_conversation_stays_as_it_is(said: str) -> None:
    assert told(said) == said


def test_a_value_that_looks_as_a_placeholder_is_not_put_back_twice() -> None:
    redaction = Redaction()
    text = "Minh: <PERSON_1>"
    said = redaction.redact(text, [Span(0, 4, "PERSON"), Span(6, 16, "PERSON")])
    assert said == "<PERSON_1>: <PERSON_2>"
    assert redaction.restore(said) == text


def test_inside_json_a_value_is_escaped() -> None:
    redaction = Redaction()
    value = 'An "Bé"\nở C:\\'
    said = redaction.redact(value, [Span(0, len(value), "PERSON")])
    restorer = Restorer(redaction, in_json=True)
    arguments = "".join(restorer.feed(sign) for sign in f'{{"ai": "{said}"}}') + restorer.end()
    assert json.loads(arguments) == {"ai": value}


def test_a_word_that_only_begins_so_goes_on_at_once() -> None:
    redaction = Redaction()
    redaction.redact("An", [Span(0, 2, "PERSON")])
    restorer = Restorer(redaction)
    assert restorer.feed("Chào <") == "Chào "
    assert restorer.feed("b>") == "<b>"
    assert restorer.feed("<PERSON_") == ""
    assert restorer.feed("2") == "<PERSON_2"


def test_a_placeholder_in_the_middle_of_a_word_is_none_however_it_is_cut() -> None:
    redaction = Redaction()
    redaction.redact("An", [Span(0, 2, "PERSON")])
    restorer = Restorer(redaction)
    assert restorer.feed("x") + restorer.feed("PERSON_1") + restorer.feed(" ") == "xPERSON_1 "
    assert restorer.feed("PERSON_1") + restorer.feed(" ") == "An "


@given(st.text())
def test_a_redaction_of_nothing_holds_nothing_and_changes_nothing(text: str) -> None:
    restorer = Restorer(Redaction())
    assert restorer.feed(text) == text
    assert not restorer.end()


def test_what_is_known_again_is_what_the_pattern_says() -> None:
    assert SEEN.fullmatch("<PERSON_1>")
    assert not SEEN.search("tháng 5, a < b > c, x_1, <b>12</b>")
