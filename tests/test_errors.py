from __future__ import annotations

import contextvars
import re
from collections.abc import Iterator

import pytest

from noibo import errors
from noibo.access.grant import Grant, Role
from noibo.errors import NoiboError, WorkerDied
from noibo.gateway.access.identity import Identity


def tree(root: type[NoiboError] = NoiboError) -> Iterator[type[NoiboError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_every_error_has_a_code_of_its_own_and_a_sane_status() -> None:
    kinds = list(tree())
    codes = [kind.__dict__.get("code") for kind in kinds]
    assert None not in codes
    assert len(set(codes)) == len(codes)
    assert all(400 <= kind.status < 600 and 1 <= kind.exit_code <= 125 for kind in kinds)


def test_the_tree_drawn_at_the_top_of_the_file_is_the_tree() -> None:
    drawn = re.findall(r"[─ ](\w+)  .*?(\d{3})?  exit (\d+)$", errors.__doc__ or "", re.MULTILINE)
    said = {name: (status, int(code)) for name, status, code in drawn}
    for kind in tree():
        if kind.__name__ in said:
            status, code = said[kind.__name__]
            assert code == kind.exit_code, kind
            assert status in {"", str(kind.status)}, kind
    missing = {k.__name__ for k in tree()} - set(re.findall(r"\w+", errors.__doc__ or ""))
    assert not missing


def test_a_next_step_follows_the_message() -> None:
    assert str(NoiboError("It broke.", next_step="Mend it.")) == "It broke. Mend it."
    assert str(NoiboError("It broke.")) == "It broke."
    assert str(NoiboError("It\nbroke.", next_step="Mend it.")) == "It\nbroke.\nMend it."


@pytest.mark.parametrize(("role", "told"), [("admin", True), ("developer", False), ("user", False)])
def test_what_an_engine_wrote_is_told_to_who_runs_the_server(role: Role, told: bool) -> None:
    error = WorkerDied("It ended.", next_step="Again.")
    error.lines = "\nIts last lines:\n  words of somebody else"

    def seen() -> str:
        Identity("somebody", grant=Grant(role)).put({})
        return str(error)

    assert ("somebody else" in contextvars.copy_context().run(seen)) is told
    assert str(error).endswith("somebody else\nAgain.")
