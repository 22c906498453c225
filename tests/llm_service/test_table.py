"""The table [llm] of noibo.toml, as `noibo llm setup` changes it."""

from __future__ import annotations

import tomllib

import pytest

from noibo.cli.llm_table import table_of, with_table
from noibo.errors import SettingsError


def test_a_file_that_is_not_there_becomes_one_table() -> None:
    assert with_table("", {"model_path": "a", "load_in_8bit": True, "max_length": 5}) == (
        '[llm]\nmodel_path = "a"\nload_in_8bit = true\nmax_length = 5\n'
    )


def test_all_else_stays_as_it_was_written() -> None:
    before = (
        "# mine\noffline = true\n\n[llm]  # the program\n# which model\nmodel_path = 'old'\n"
        "top_k = 3\n\n[server]\nport = 1\n"
    )
    after = with_table(before, {"model_path": 'C:\\mô hình\\"x"', "max_length": 9})
    assert after == before.replace("'old'", '"C:\\\\mô hình\\\\\\"x\\""').replace(
        "top_k = 3\n", "top_k = 3\nmax_length = 9\n"
    )
    assert table_of(after)["model_path"] == 'C:\\mô hình\\"x"'


def test_the_same_again_changes_nothing() -> None:
    once = with_table("offline = true\n", {"model_path": "a"})
    assert with_table(once, {"model_path": "a"}) == once


@pytest.mark.parametrize(
    "before",
    [
        "llm.model_path = 'a'\n",
        "llm = {model_path = 'a'}\n",
        '[llm]\nx = """\nmodel_path = 1\n"""\nmodel_path = "a"\n',
        "[llm]\nmodel_path = [\n 1]\n",
    ],
)
def test_what_cannot_be_changed_line_by_line_is_left_alone(before: str) -> None:
    with pytest.raises(SettingsError) as caught:
        with_table(before, {"model_path": "b"})
    assert 'model_path = "b"' in caught.value.next_step


def test_what_is_written_is_toml() -> None:
    for value in ("a\tb", "\u0007", "ộ", "'", '"'):
        assert tomllib.loads(with_table("", {"model_path": value}))["llm"]["model_path"] == value
