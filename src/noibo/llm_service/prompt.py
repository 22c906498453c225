"""What a question and its context become: the messages of a chat. Pure.

All stands in one message of the user, since some templates know no system. The context comes before
the question, so that further questions on the same document find it read already.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

from noibo.errors import InvalidRequest

Language = Literal["vi", "en"]
Context = str | Sequence[str] | None

_TEMPLATES: Final[dict[Language, str]] = {
    "vi": "Trả lời câu hỏi bằng tiếng Việt, trừ khi câu hỏi muốn một ngôn ngữ khác. "
    "Dùng ngữ cảnh khi nó có ích; điều gì không biết thì nói là không biết.\n\n"
    "Ngữ cảnh:\n{context}\n\nCâu hỏi: {question}",
    "en": "Answer the question in its own language, unless it asks for another. "
    "Use the context where it helps; say so where you do not know.\n\n"
    "Context:\n{context}\n\nQuestion: {question}",
}
# Letters that hardly any other language has: đ, ơ, ư, and the block of vowels with two marks.
_LETTERS: Final = re.compile("[đơưĐƠƯ\u1ea0-\u1ef9]")
_WORDS: Final = frozenset(
    (
        *("là", "gì", "của", "và", "xin", "chào", "các", "những", "này", "viết", "dịch", "hãy"),
        *("khong", "duoc", "nguoi", "nhung", "cua", "tieng", "viet", "gi", "nao", "cach", "sao"),
        *("xin", "chao", "nay", "dich"),
    )
)


def language(text: str) -> Language:
    """Vietnamese by its letters, or by two of its commonest words, typed with their marks or
    without; English stands for every other."""
    plain = unicodedata.normalize("NFC", text)
    if _LETTERS.search(plain):
        return "vi"
    found = _WORDS.intersection(re.findall(r"\w+", plain.lower()))
    return "vi" if len(found) > 1 else "en"


def messages(question: str, context: Context, system: str = "") -> list[dict[str, str]]:
    """A chat that asks it. Without a context the question is asked as it stands. Raises
    `InvalidRequest` for an empty one, and for halves of characters."""
    if not isinstance(question, str) or not question.strip():
        raise InvalidRequest(
            "The question is empty.", param="question", next_step="Say what is asked."
        )
    found = joined(context)
    for name, said in (("question", question), ("context", found), ("system", system)):
        _require_whole(name, said)
    text = _TEMPLATES[language(question)].format(context=found, question=question)
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": text if found else question}]


def joined(context: Context) -> str:
    """A context as one text; of several passages, with an empty line between."""
    if context is None or isinstance(context, str):
        return (context or "").strip()
    if isinstance(context, Sequence) and all(isinstance(one, str) for one in context):
        return "\n\n".join(one.strip() for one in context if one.strip())
    raise InvalidRequest(
        f"The context is a {type(context).__name__}.",
        param="context",
        next_step="Give a text, or a list of texts.",
    )


def _require_whole(name: str, text: str) -> None:
    """Raises `InvalidRequest` for what no encoding has: a file that was read as another one than it
    is in leaves such halves (`surrogateescape`)."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            f"The {name} holds half a character (at {exc.start}), which cannot be sent.",
            param=name,
            next_step="Read the text in the encoding that it was written in, or take such halves "
            'out: text.encode(errors="ignore").decode().',
        ) from None
