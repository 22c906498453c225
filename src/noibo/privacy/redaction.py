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
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from noibo.privacy.placeholder import SEEN, SEEN_NEXT, Placeholder, may_have, plain_kind, seen
from noibo.privacy.span import Span
from noibo.privacy.spans import disjoint
from noibo.privacy.spelling import ESCAPED, either, is_telling, normalised


class Redaction:
    """Of one conversation."""

    __slots__ = (
        "_again",
        "_entities",
        "_last",
        "_lock",
        "_placeholders",
        "_taken",
        "_uses",
        "_values",
    )

    def __init__(self) -> None:
        self._values: dict[str, str] = {}  # by placeholder, without its brackets
        self._placeholders: dict[str, Placeholder] = {}  # by value
        self._entities: dict[tuple[str, str], list[Placeholder]] = {}  # spellings of one value
        self._taken: dict[str, set[int]] = {}  # numbers of each kind that cannot be given away
        self._last: dict[str, int] = {}  # number of each kind
        self._uses: Counter[str] = Counter()
        self._again: re.Pattern[str] | None = None
        self._lock = threading.RLock()  # two bodies of one request may be made at the same time

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

    def restored(self, value: Any, in_json: Collection[str] = (), name: str = "") -> Any:
        """A whole answer, of any API, with the values in all its texts. `in_json`: names of fields
        that are JSON, also where it is cut off; of the others, what can be read as JSON is."""
        if isinstance(value, str):
            is_json = name in in_json or (value[:1] in {"{", "["} and _is_json(value))
            return self.restore(value, in_json=is_json)
        if isinstance(value, list):
            return [self.restored(one, in_json, name) for one in value]
        if isinstance(value, dict):
            return {self.restore(n): self.restored(one, in_json, n) for n, one in value.items()}
        return value

    def could_be(
        self, kind: str, digits: str = "", spelling: str = "", *, complete: bool = False
    ) -> bool:
        """A placeholder of this conversation begins so; `complete`: it is so."""
        known = tuple(self._values)  # another thread may add to them
        if not digits:
            return any(name.startswith(kind) for name in known)
        begun = f"{kind}_{int(digits)}{spelling}"
        if complete:
            return begun in self._values
        return any(name.startswith(begun) for name in known)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many places were redacted, by kind, since they were last counted anew."""
        return dict(self._uses)

    def count_anew(self) -> None:
        """Another body of the same conversation begins."""
        self._uses = Counter()

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
        with self._lock:
            return self._placeholders.get(value) or self._new(plain_kind(label), value)

    def _new(self, kind: str, value: str) -> Placeholder:
        spellings = self._entities.setdefault((kind, normalised(kind, value)), [])
        number = spellings[0].number if spellings else self._next(kind)
        made = Placeholder(kind, number, len(spellings))
        spellings.append(made)
        self._values[made.bare] = value
        self._placeholders[value] = made
        self._again = None
        return made

    def _next(self, kind: str) -> int:
        taken, number = self._taken.setdefault(kind, set()), self._last.get(kind, 0) + 1
        while number in taken:
            number += 1
        taken.add(number)
        self._last[kind] = number
        return number

    def _reserve(self, text: str) -> None:
        for _ in self._ours(text):
            pass

    def _is_ours(self, match: re.Match[str]) -> bool:
        """What looks as a placeholder has a number that stands for a value; no value gets that
        number where it has not."""
        kind, number = _parts(match)
        with self._lock:
            if f"{kind}_{number}" in self._values:
                return True
            self._taken.setdefault(kind, set()).add(number)
            return False

    def _in_place_of(self, text: str, spans: Iterable[Span]) -> str:
        first = next(iter(disjoint(spans)), None)
        if first is None and not any(self._is_ours(match) for match in SEEN.finditer(text)):
            return text
        placeholder = self._placeholder(first.label if first else ESCAPED, text)
        self._uses[placeholder.kind] += 1
        return placeholder.bare

    def _escaped(self, text: str) -> str:
        """A piece between values: what looks as one of our placeholders gets one."""
        made, end = [], 0
        for match in self._ours(text):
            made += [text[end : match.start()], str(self._placeholder(ESCAPED, match[0]))]
            end = match.end()
        return "".join([*made, text[end:]])

    def _ours(self, text: str) -> Iterator[re.Match[str]]:
        """What looks as placeholders of ours. Behind one, a bracket will stand: what is part of a
        word now (the e of \\u003e) may look as a placeholder then."""
        match = SEEN.search(text) if may_have(text) else None
        while match is not None:
            at, behind = match.end(), self._is_ours(match)
            if behind:
                yield match
            match = (SEEN_NEXT.match(text, at) if behind else None) or SEEN.search(text, at)

    def _pattern(self) -> re.Pattern[str] | None:
        wanted = [
            value for value, made in self._placeholders.items() if is_telling(made.kind, value)
        ]
        if not wanted:
            return None
        self._again = re.compile(rf"(?<!\w)(?:{either(wanted)})(?!\w)")
        return self._again


def _parts(match: re.Match[str]) -> tuple[str, int]:
    kind, _, rest = seen(match).rpartition("_")
    return kind, int(re.match(r"\d+", rest)[0])  # type: ignore[index]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
