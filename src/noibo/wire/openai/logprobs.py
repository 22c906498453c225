"""Log-probabilities of tokens, in the shape of chats and in that of text completions.

Engines tell them in the shape of chats: a row for each token, with its bytes. A token may be part
of a character: then its text is not the whole of it, and the old shape has words for that.
"""

from __future__ import annotations

from collections.abc import Sequence

from noibo.wire.body import Json


def as_chat(rows: Sequence[Json], top: int) -> Json:
    """Rows as a chat shows them: the `top` likeliest tokens of each, none if that is 0."""
    return {"content": [_row(row, top) for row in rows], "refusal": None}


def _row(row: Json, top: int) -> Json:
    return _token(row) | {"top_logprobs": [_token(one) for one in row["top_logprobs"][:top]]}


def _token(row: Json) -> Json:
    return {name: row.get(name) for name in ("token", "logprob", "bytes")}


def as_text(rows: Sequence[Json], top: int, offset: int) -> Json:
    """Rows as text completions show them; `offset` is where in the text the first token begins.

    The likeliest tokens have the one that was taken among them, so there may be one more."""
    names = [name_of(row) for row in rows]
    offsets = []
    for name in names:
        offsets.append(offset)
        offset += len(name)
    return {
        "tokens": names,
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [_likeliest(row, top) for row in rows],
        "text_offset": offsets,
    }


def _likeliest(row: Json, top: int) -> dict[str, float]:
    found = {name_of(one): one["logprob"] for one in row["top_logprobs"][:top]}
    return found | {name_of(row): row["logprob"]}


def name_of(row: Json) -> str:
    """A token's text; `bytes:\\xe1\\xba` for part of a character."""
    raw = row.get("bytes")
    if raw is None:
        return str(row["token"])
    return piece_name(bytes(raw))


def piece_name(piece: bytes) -> str:
    """The same of a token's bytes."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
