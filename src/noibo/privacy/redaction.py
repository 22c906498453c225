"""What is personal in a conversation, kept back behind placeholders, and put back in its answer.

The same value has the same placeholder, and no two values share one. Numbers go by first
appearance, so the same history gives the same text again: what a provider has cached of a prompt
holds, though nothing is kept here between two requests.

What stands in a text already and looks as a placeholder is not mistaken for one: its number is not
given away, or, where it is by then, it gets a placeholder itself.

The values never leave this object: it shows counts only, and cannot be pickled or copied.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from noibo.privacy.placeholder import SEEN, Placeholder, may_have, plain_kind, seen
from noibo.privacy.span import Span
from noibo.privacy.spans import disjoint
from noibo.privacy.unescaped import unescaped

ESCAPED: Final = "TEXT"  # the kind of what only looks as a placeholder
_EXACT: Final = frozenset({"API_KEY", "PRIVATE_KEY"})  # where case tells two apart
_WORDS: Final = frozenset({"PERSON", "ADDRESS", "EMAIL", ESCAPED})
_BETWEEN: Final = re.compile(r"[\s.\-/()]+")
_TRUNK: Final = re.compile(r"(?:\+|00)?84(?=[1-9]\d{8,9}$)")
_LEAST_KNOWN: Final = 5  # characters of a value that is looked for again


class Redaction:
    """Of one conversation."""

    __slots__ = ("_again", "_entities", "_placeholders", "_taken", "_uses", "_values")

    def __init__(self) -> None:
        self._values: dict[str, str] = {}  # by placeholder, without its brackets
        self._placeholders: dict[str, Placeholder] = {}  # by value
        self._entities: dict[tuple[str, str], list[Placeholder]] = {}  # spellings of one value
        self._taken: dict[str, set[int]] = {}  # numbers of each kind that cannot be given away
        self._uses: Counter[str] = Counter()
        self._again: re.Pattern[str] | None = None

    def redact(self, text: str, spans: Iterable[Span], *, bare: bool = False) -> str:
        """The text with a placeholder in place of each span. `bare`: without brackets, and then in
        place of all of it, for in the middle of a word it would not be known again."""
        if bare:
            return self._in_place_of(text, spans)
        made, end = [], 0
        for span in disjoint(spans):
            made.append(self._escaped(text[end : span.start]))
            placeholder = self._placeholder(span.label, text[span.start : span.end])
            self._uses[placeholder.kind] += 1
            made.append(str(placeholder))
            end = span.end
        made.append(self._escaped(text[end:]))
        return "".join(made)

    def note(self, text: str, spans: Iterable[Span]) -> None:
        """Give the values of a text their placeholders, without redacting it yet."""
        end = 0
        for span in disjoint(spans):
            self._reserve(text[end : span.start])
            self._placeholder(span.label, text[span.start : span.end])
            end = span.end
        self._reserve(text[end:])

    def known(self, text: str) -> list[Span]:
        """Where values stand in a text that were found elsewhere in the conversation: a finder
        that knew a name by its sentence may pass over it in another."""
        pattern = self._again or self._pattern()
        if pattern is None:
            return []
        return [
            Span(match.start(), match.end(), self._placeholders[match[0]].kind, finder="known")
            for match in pattern.finditer(text)
        ]

    def restore(self, text: str, *, in_json: bool = False) -> str:
        """The text with the values back in place of their placeholders. `in_json`: it is written
        as the inside of JSON, and what is put there is escaped."""
        return SEEN.sub(lambda match: self.value(match, in_json=in_json), text)

    def value(self, match: re.Match[str], *, in_json: bool = False) -> str:
        """What stands behind one match of `placeholder.SEEN`; itself if it is none of these."""
        found = self._values.get(seen(match))
        if found is None:
            return match[0]
        return json.dumps(found, ensure_ascii=False)[1:-1] if in_json else found

    def restored(self, value: Any) -> Any:
        """A whole answer, of any API, with the values in all its texts."""
        if isinstance(value, str):
            if value[:1] in {"{", "["} and _is_json(value):
                return self.restore(value, in_json=True)
            return self.restore(value)
        if isinstance(value, list):
            return [self.restored(one) for one in value]
        if isinstance(value, dict):
            return {self.restore(name): self.restored(one) for name, one in value.items()}
        return value

    def could_be(
        self, kind: str, digits: str = "", spelling: str = "", *, complete: bool = False
    ) -> bool:
        """A placeholder of this conversation begins so; `complete`: it is so."""
        if not digits:
            return any(name.startswith(kind) for name in self._values)
        begun = f"{kind}_{int(digits)}{spelling}"
        if complete:
            return begun in self._values
        return any(name.startswith(begun) for name in self._values)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many places were redacted, by kind."""
        return dict(self._uses)

    @property
    def values(self) -> int:
        """How many values are kept back."""
        return len(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        said = ", ".join(f"{kind}: {count}" for kind, count in sorted(self._uses.items()))
        return f"<Redaction {said or 'of nothing'}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A redaction stays in the process that made it.")

    def _placeholder(self, label: str, value: str) -> Placeholder:
        found = self._placeholders.get(value)
        if found is not None:
            return found
        kind = plain_kind(label)
        spellings = self._entities.setdefault((kind, normalised(kind, value)), [])
        number = spellings[0].number if spellings else self._next(kind)
        made = Placeholder(kind, number, len(spellings))
        spellings.append(made)
        self._placeholders[value], self._values[made.bare] = made, value
        self._again = None
        return made

    def _next(self, kind: str) -> int:
        taken = self._taken.setdefault(kind, set())
        number = next(one for one in range(1, len(taken) + 2) if one not in taken)
        taken.add(number)
        return number

    def _reserve(self, text: str) -> None:
        for match in SEEN.finditer(text) if may_have(text) else ():
            kind, number = _parts(match)
            if not self._given(kind, number):
                self._taken.setdefault(kind, set()).add(number)

    def _given(self, kind: str, number: int) -> bool:
        """Its number stands for a value already."""
        return f"{kind}_{number}" in self._values

    def _in_place_of(self, text: str, spans: Iterable[Span]) -> str:
        first = next(iter(disjoint(spans)), None)
        if first is None:
            return self._escaped(text, bare=True)
        placeholder = self._placeholder(first.label, text)
        self._uses[placeholder.kind] += 1
        return placeholder.bare

    def _escaped(self, text: str, *, bare: bool = False) -> str:
        """A piece between values: what looks as one of our placeholders gets one."""

        def one(match: re.Match[str]) -> str:
            kind, number = _parts(match)
            if self._given(kind, number):
                made = self._placeholder(ESCAPED, match[0])
                return made.bare if bare else str(made)
            self._taken.setdefault(kind, set()).add(number)
            return match[0]

        return SEEN.sub(one, text) if may_have(text) else text

    def _pattern(self) -> re.Pattern[str] | None:
        wanted = [
            value for value, made in self._placeholders.items() if _is_telling(made.kind, value)
        ]
        if not wanted:
            return None
        wanted.sort(key=len, reverse=True)
        either = "|".join(map(re.escape, wanted))
        self._again = re.compile(rf"(?<!\w)(?:{either})(?!\w)")
        return self._again


def normalised(kind: str, value: str) -> str:
    """A value without what does not tell it from another spelling of itself."""
    escaped = unescaped(value)
    plain = unicodedata.normalize("NFC", escaped.text if escaped else value)
    if kind in _EXACT:
        return plain
    plain = " ".join(plain.casefold().split())
    if kind in _WORDS:
        return plain
    if kind in {"DOB", "IP"}:  # 1/11/1990 is not 11/1/1990
        return _BETWEEN.sub("/", plain)
    plain = _BETWEEN.sub("", plain)
    return _TRUNK.sub("0", plain) if kind == "PHONE" else plain


def _parts(match: re.Match[str]) -> tuple[str, int]:
    kind, _, rest = seen(match).rpartition("_")
    return kind, int(re.match(r"\d+", rest)[0])  # type: ignore[index]


def _is_telling(kind: str, value: str) -> bool:
    """Wherever it stands, it is this value: no word of the language, and no short number."""
    if kind in {"PERSON", "ADDRESS"}:
        return " " in value.strip() and len(value) > _LEAST_KNOWN
    return len(value) >= _LEAST_KNOWN and kind != ESCAPED


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
