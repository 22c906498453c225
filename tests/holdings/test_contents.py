"""What stands in files is found wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from noibo.holdings.contents import excerpt, is_text
from noibo.holdings.wanted import Wanted

NAME = "Nguyễn Văn An"


def opened(path: Path) -> BinaryIO:
    return path.open("rb")


@pytest.mark.parametrize("before", range(2**20 - len(NAME.encode()), 2**20 + 1))
def test_a_name_is_found_where_a_file_is_read_in_pieces(tmp_path: Path, before: int) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b" " * before + NAME.encode() + b" ")
    assert NAME in excerpt(path, Wanted.of([NAME]), opened)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_text_as_spreadsheets_write_it_is_looked_into(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(f"Tên;Số\n{NAME};1\n".encode(encoding))
    assert is_text(path, opened)
    assert NAME in excerpt(path, Wanted.of([NAME]), opened)


@pytest.mark.parametrize("data", [b"\x00\xff" * 50, b"\xff\xfe\x00\x00" * 9, b"%PDF-1.7\n\xe2\xe3"])
def test_what_is_no_text_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scan.bin").write_bytes(data)
    assert not is_text(tmp_path / "scan.bin", opened)


def test_what_is_nested_without_end_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_bytes(b"[" * 10**5 + rb'"\n"' + b"]" * 10**5 + b"\n" + NAME.encode())
    assert NAME in excerpt(path, Wanted.of([NAME]), opened)
