"""What stands in files is found wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from noibo.holdings.contents import excerpt
from noibo.holdings.wanted import Wanted

NAME = "Nguyễn Văn An"


def opened(path: Path) -> BinaryIO:
    return path.open("rb")


@pytest.mark.parametrize("before", range(2**20 - len(NAME.encode()), 2**20 + 1))
def test_a_name_is_found_where_a_file_is_read_in_pieces(tmp_path: Path, before: int) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b" " * before + NAME.encode() + b" ")
    assert NAME in excerpt(path, Wanted.of([NAME]), opened)


def test_what_is_nested_without_end_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_bytes(b"[" * 10**5 + rb'"\n"' + b"]" * 10**5 + b"\n" + NAME.encode())
    assert NAME in excerpt(path, Wanted.of([NAME]), opened)
