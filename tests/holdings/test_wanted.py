"""Somebody is found as people write them."""

from __future__ import annotations

import json
import unicodedata

import pytest

from noibo.errors import UsageError
from noibo.holdings.wanted import ERASED, Wanted, texts

NAME = "Nguyễn Văn An"


@pytest.mark.parametrize(
    "text",
    [
        "Ông Nguyễn Văn An đã ký.",
        "NGUYỄN VĂN AN",
        "nguyễn  văn\nan,",
        "nguyễn_văn_an.pdf",
        unicodedata.normalize("NFD", "gửi Nguyễn Văn An"),
        unicodedata.normalize("NFD", "NGUYỄN VĂN AN"),
    ],
)
def test_a_name_is_found_as_it_is_written(text: str) -> None:
    wanted = Wanted.of([NAME])
    assert wanted.within(text)
    assert not wanted.within(wanted.blank(text))
    assert ERASED in wanted.blank(text)


@pytest.mark.parametrize(
    "text", ["Nguyễn Văn Anh", "Nguyễn Văn", "Nguyen Van An", "Nguyễn Vàn An", "xNguyễn Văn An"]
)
def test_another_name_is_not_taken_for_it(text: str) -> None:
    assert not Wanted.of([NAME]).within(text)


@pytest.mark.parametrize("text", ["Nguyen Van An", "nguyen van an", "NGUYỄN VAN ÁN", NAME])
def test_loosely_a_name_is_found_without_its_marks(text: str) -> None:
    assert Wanted.of([NAME], loose=True).within(text)
    assert Wanted.of(["Do Duc"], loose=True).within("Đỗ Đức")
    assert not Wanted.of([NAME], loose=True).within("Nguyen Van Anh")


@pytest.mark.parametrize(
    "text",
    [
        "0912345678",
        "0912 345 678",
        "0912.345.678",
        "+84912345678",
        "+84 912-345-678",
        "84 912345678",
    ],
)
@pytest.mark.parametrize("term", ["0912 345 678", "+84 912 345 678", "84912345678"])
def test_a_telephone_number_is_found_in_any_form(term: str, text: str) -> None:
    wanted = Wanted.of([term])
    assert wanted.within(f"Gọi {text} nhé")
    assert wanted.blank(f"Gọi {text}.") == f"Gọi {ERASED}."


@pytest.mark.parametrize("text", ["10912345678", "09123456789", "0912345679", "1912345678"])
def test_another_number_is_not_taken_for_it(text: str) -> None:
    assert not Wanted.of(["0912345678"]).within(text)


def test_an_identity_number_is_found_with_separators() -> None:
    assert Wanted.of(["001099012345"]).within("CCCD 0010 9901 2345")
    assert not Wanted.of(["001099012345"]).within("0010990123456")


def test_an_address_is_found_as_a_whole() -> None:
    wanted = Wanted.of(["an.nguyen@example.vn"])
    assert wanted.within("mailto:An.Nguyen@example.vn>")
    assert not wanted.within("van.an.nguyen@example.vns")


def test_json_within_a_text_is_looked_into_and_stays_json() -> None:
    inner = json.dumps({"to": NAME, "n": 1}, ensure_ascii=True)
    value = {"type": "function_call", "arguments": inner, "id": "x", "n": [1, 0.5, None, True]}
    wanted = Wanted.of([NAME])
    assert "\\u1ec5" in inner
    assert wanted.within_json(value) == NAME
    changed = wanted.blank_json(value)
    assert json.loads(changed["arguments"]) == {"to": ERASED, "n": 1}
    assert {k: v for k, v in changed.items() if k != "arguments"} == {
        k: v for k, v in value.items() if k != "arguments"
    }


def test_what_says_what_a_thing_is_stays() -> None:
    value = {"type": "message", "role": "user", "content": "a message of the user"}
    changed = Wanted.of(["message", "user"]).blank_json(value)
    assert (changed["type"], changed["role"]) == ("message", "user")
    assert changed["content"] == f"a {ERASED} of the {ERASED}"


@pytest.mark.parametrize("field", ["call_id", "custom_id", "id", "role", "status", "model"])
def test_what_a_caller_wrote_in_place_of_an_id_is_found(field: str) -> None:
    wanted = Wanted.of([NAME, "0912345678"])
    for said in (f"patient {NAME}", "0912 345 678", [NAME]):
        assert wanted.within_json({field: said})
    assert wanted.blank_json({field: f"call {NAME}"}) == {field: f"call {ERASED}"}
    own = {"id": "resp_0912345678abcdef0912345678", "created_at": 1791234567, "status": "completed"}
    assert Wanted.of(["0912345678", "completed", "1791234567"]).blank_json(own) == own


def test_a_name_of_a_field_is_somebody_by_a_number_or_by_more_than_a_word() -> None:
    wanted = Wanted.of([NAME, "Max", "0912345678"], loose=True)
    value = {"nguyen_van_an": 1, "u_0912345678": 2, "max_tokens": 3, "Max": 4, "x": {"max": 5}}
    assert wanted.within_json({"nguyen_van_an": 1}) == "nguyen_van_an"
    assert wanted.within_json({"max_tokens": 1}) == ""
    changed = wanted.blank_json(value)
    assert set(changed) == {ERASED, f"u_{ERASED}", "max_tokens", "x"}
    assert changed["x"] == {"max": 5}


def test_a_number_written_as_one_is_found() -> None:
    value = {"metadata": {"cccd": 123456789012, "count": 3}}
    changed = Wanted.of(["123456789012"]).blank_json(value)
    assert changed == {"metadata": {"cccd": ERASED, "count": 3}}


@pytest.mark.parametrize("terms", [[], ["An"], [" a "], [""]])
def test_what_would_be_found_everywhere_is_refused(terms: list[str]) -> None:
    with pytest.raises(UsageError):
        Wanted.of(terms)


def test_a_term_is_no_pattern() -> None:
    wanted = Wanted.of(["a.*b(", "x|y"])
    assert not wanted.within("axxb(")
    assert wanted.within("say a.*b( now")


def test_deep_and_broken_json_does_no_harm() -> None:
    value: object = "x"
    for _ in range(50):
        value = json.dumps([value])[:100_000] if len(str(value)) < 50_000 else [value]
    assert list(texts(value))
    assert list(texts('{"a": ')) == ['{"a": ']
