"""What a file is that should have been a GGUF model and is not, and what to do about it.

The usual mistakes are few: an error page saved under a model's name, a Git LFS pointer, a model in
another format. Recognised by their first bytes; nothing is ever unpickled, unpacked or run.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Final, NamedTuple

HEAD_BYTES: Final = 512  # how much of a file `recognise` wants to see

FETCH_AGAIN: Final = "Fetch the file again, from where the model is published."
GET_GGUF: Final = "Fetch the GGUF file of the same model, or convert it with llama.cpp."


class Foreign(NamedTuple):
    """A kind of file that is not GGUF: the end of the sentence "This is …", and what to do."""

    what: str
    next_step: str


_GGML: Final = "It is the format before GGUF; llama.cpp has not read it since August 2023. "
_PICKLE: Final = (
    "noibo never unpickles a model: that would run code from the file. Fetch the GGUF file of the "
    "same model, or its safetensors and convert them with llama.cpp."
)

# First bytes on disk. The old GGML magics are little-endian words, so they lie there reversed.
_MAGICS: Final = (
    (b"lmgg", Foreign("an old GGML model", _GGML + GET_GGUF)),
    (b"fmgg", Foreign("an old GGML model (ggmf)", _GGML + GET_GGUF)),
    (b"tjgg", Foreign("an old GGML model (ggjt)", _GGML + GET_GGUF)),
    (b"algg", Foreign("an old GGML adapter (ggla)", _GGML + "Convert the adapter to GGUF again.")),
    (b"nsgg", Foreign("a saved llama.cpp session, not a model", GET_GGUF)),
    (b"qsgg", Foreign("a saved llama.cpp sequence, not a model", GET_GGUF)),
    (b"MZqFpD", Foreign("a llamafile: a program with a model inside", GET_GGUF)),
    (
        b"version https://git-lfs.github.com/",
        Foreign(
            "a Git LFS pointer, not the model it stands for",
            "Run `git lfs pull` in the repository it came from, or fetch the file itself.",
        ),
    ),
    (
        b"PK\x03\x04",
        Foreign("a zip archive; PyTorch checkpoints (.pt, .bin) are zip archives too", _PICKLE),
    ),
    (b"\x1f\x8b", Foreign("compressed with gzip", "Unpack it with `gzip -d` first.")),
    (b"\x28\xb5\x2f\xfd", Foreign("compressed with zstd", "Unpack it with `zstd -d` first.")),
    (b"\xfd7zXZ", Foreign("compressed with xz", "Unpack it with `xz -d` first.")),
    (b"BZh", Foreign("compressed with bzip2", "Unpack it with `bzip2 -d` first.")),
    (b"7z\xbc\xaf", Foreign("a 7z archive", "Unpack it first.")),
    (b"\x89HDF", Foreign("an HDF5 file (Keras)", GET_GGUF)),
    (b"\x7fELF", Foreign("a program, not a model", GET_GGUF)),
)

_PAGE_STARTS: Final = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--")


def recognise(head: bytes) -> Foreign:
    """Name the kind of file that begins with `head` (its first `HEAD_BYTES`, or all of it)."""
    if not head:
        return Foreign("empty", "The download did not start or did not finish: fetch it again.")
    for magic, foreign in _MAGICS:
        if head.startswith(magic):
            return foreign
    if head[0] == 0x80 and len(head) > 1 and head[1] in range(2, 6):
        return Foreign("a Python pickle (an old PyTorch checkpoint)", _PICKLE)
    if _is_safetensors(head):
        return Foreign("a safetensors file", GET_GGUF)
    if not head.strip(b"\0"):
        return Foreign("zeros: a download that was prepared but never filled", FETCH_AGAIN)
    return _text(head) or Foreign(
        f"of a kind noibo does not know (it starts with {head[:4]!r} where GGUF does with b'GGUF')",
        FETCH_AGAIN,
    )


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes of length, then a JSON object (huggingface/safetensors, "Format")."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 10**6


def _text(head: bytes) -> Foreign | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_PAGE_STARTS):
        return Foreign(
            "a web page, not a model; most likely an error or login page saved in its place",
            "Check the address, and whether the model asks for a login or a licence first.",
        )
    if any(byte < 9 or 14 <= byte < 32 for byte in head) or not _is_utf8(head):
        return None
    if start.startswith((b"{", b"[")):
        return Foreign("a JSON text: an index, or a server's error message", FETCH_AGAIN)
    return Foreign("a text file, most likely a server's error message", FETCH_AGAIN)


def _is_utf8(head: bytes) -> bool:
    """Whether it is UTF-8, as far as it goes: the last character may be cut."""
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
