"""Pulls of one process: shared, watched from threads and loops, cancelled, remembered."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import pytest

from noibo.errors import Cancelled, DiskFull, NoiboError, NotFound, ShuttingDown
from noibo.modelstore.management import errand, pulls
from noibo.modelstore.management.pulls import Asked, Pull, Pulls
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.wire.models import ModelRow
from tests.running import until

ROW = ModelRow(
    name="tiny:latest",
    path="/models/tiny.gguf",
    size=1000,
    sha256=None,
    files=1,
    format="gguf",
    in_place=False,
    source="a test",
    origin="",
    licence=None,
    architecture=None,
    quantisation=None,
    parameters=None,
    context_length=None,
    added_at=0.0,
)


class Script:
    """The work of a pull, as a test wants it: it waits where it is told to."""

    def __init__(
        self, steps: Callable[[Report, Cancel], None] = lambda report, cancel: None
    ) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.times = 0
        self._steps = steps

    def __call__(self, model: str, name: str | None, report: Report, cancel: Cancel) -> ModelRow:
        self.times += 1
        self.began.set()
        self._steps(report, cancel)
        while not self.go.is_set():
            cancel.wait(0.005)
        return ROW


def count_to(last: int) -> Callable[[Report, Cancel], None]:
    def steps(report: Report, cancel: Cancel) -> None:
        for done in range(last + 1):
            report(Progress("download", done, last))

    return steps


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_pull_runs_by_itself_and_keeps_what_came_of_it() -> None:
    script = Script(count_to(10))
    pull = Pulls(script).start("tiny", "mine")
    row = pull.row()
    assert (row.model, row.name, row.state, row.ended_at) == ("tiny", "mine", "running", None)
    script.go.set()
    assert pull.wait(10)
    row = pull.row()
    assert (row.state, row.result, row.error) == ("done", ROW, None)
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at
    assert (row.progress.done, row.progress.total, row.progress.pull) == (10, 10, pull.id)


def test_a_watcher_is_told_every_note_and_the_last_of_the_progress() -> None:
    def steps(report: Report, cancel: Cancel) -> None:
        for number in range(1000):
            note = f"note {number}" if number % 100 == 0 else ""
            report(Progress("download", number, 999, note))

    script = Script(steps)
    script.go.set()
    pull = Pulls(script).start("tiny")
    said = list(pull.watch())
    assert [one.note for one in said if one.note] == [f"note {n}" for n in range(0, 1000, 100)]
    assert (said[-1].done, said[-1].note) == (999, "")
    assert len(said) < 100
    assert [one.note for one in pull.watch() if one.note] == pull.row().notes


def test_who_comes_late_is_told_the_last_notes_of_very_many() -> None:
    def steps(report: Report, cancel: Cancel) -> None:
        for number in range(errand.NOTES + 50):
            report(Progress("find", note=str(number)))

    script = Script(steps)
    script.go.set()
    pull = Pulls(script).start("tiny")
    pull.wait(10)
    notes = [one.note for one in pull.watch() if one.note]
    assert notes == [str(number) for number in range(50, errand.NOTES + 50)]


def test_two_who_want_the_same_share_one_pull_until_it_has_ended() -> None:
    script = Script()
    pulls_here = Pulls(script, lambda model, name: Asked("tiny:1m", "tiny:1m"))
    first = pulls_here.start("tiny")
    assert pulls_here.start("tiny:1m") is first
    script.go.set()
    first.wait(10)
    second = pulls_here.start("tiny")
    assert second is not first
    second.wait(10)
    assert script.times == 2


def test_another_name_is_another_pull() -> None:
    script = Script()
    pulls_here = Pulls(script)
    assert pulls_here.start("tiny", "a") is not pulls_here.start("tiny", "b")
    pulls_here.close()


def test_what_is_wrong_with_a_request_is_raised_and_nothing_begins() -> None:
    def read(model: str, name: str | None) -> Asked:
        raise NotFound(f"There is no {model}.")

    script = Script()
    pulls_here = Pulls(script, read)
    with pytest.raises(NotFound):
        pulls_here.start("tiny")
    assert (pulls_here.all(), script.times) == ([], 0)


def test_a_cancelled_pull_says_so_and_a_new_one_begins() -> None:
    script = Script()
    pulls_here = Pulls(script)
    first = pulls_here.start("tiny")
    script.began.wait(10)
    row = pulls_here.cancel(first.id).row()
    assert row.state == "cancelled"
    assert row.error is not None
    assert row.error.code == "cancelled"
    with pytest.raises(Cancelled):
        first.outcome()
    assert pulls_here.start("tiny") is not first
    pulls_here.close()


def test_one_that_is_being_cancelled_is_not_joined() -> None:
    slow = threading.Event()

    def steps(report: Report, cancel: Cancel) -> None:
        slow.wait(10)

    script = Script(steps)
    pulls_here = Pulls(script)
    first = pulls_here.start("tiny")
    pulls_here.cancel(first.id, patience_s=0)
    assert not first.seen.ended
    assert pulls_here.start("tiny") is not first
    slow.set()
    pulls_here.close()


def test_an_error_is_kept_with_its_code_and_next_step() -> None:
    def steps(report: Report, cancel: Cancel) -> None:
        raise DiskFull("There is no room.", next_step="Make some.")

    pull = Pulls(Script(steps)).start("tiny")
    pull.wait(10)
    row = pull.row()
    assert row.state == "failed"
    assert row.error is not None
    assert (row.error.code, row.error.message, row.error.next_step) == (
        "disk_full",
        "There is no room.",
        "Make some.",
    )
    with pytest.raises(DiskFull):
        pull.outcome()


def test_a_fault_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    def steps(report: Report, cancel: Cancel) -> None:
        raise ZeroDivisionError("secret")

    with caplog.at_level(logging.ERROR):
        pull = Pulls(Script(steps)).start("tiny")
        pull.wait(10)
    with pytest.raises(NoiboError) as caught:
        pull.outcome()
    assert "secret" not in str(caught.value)
    assert "ZeroDivisionError" in caplog.text


def test_a_few_run_at_once_and_the_others_follow_in_their_order() -> None:
    begun: list[str] = []
    ends = {str(number): threading.Event() for number in range(pulls.AT_ONCE + 2)}

    def work(model: str, name: str | None, report: Report, cancel: Cancel) -> ModelRow:
        begun.append(model)
        while not ends[model].is_set():
            cancel.wait(0.005)
        return ROW

    pulls_here = Pulls(work)

    def start(model: str) -> Pull:
        pull = pulls_here.start(model)
        until(lambda: model in begun or pull.row().notes != [], "it runs, or says that it waits")
        return pull

    *first, fifth, last = map(start, ends)
    for waiting in (fifth, last):
        row = waiting.row()
        assert (row.state, row.progress.stage) == ("running", "wait")
        assert row.notes == ["Waiting for another pull to end."]
    assert begun == [pull.model for pull in first]
    ends[first[2].model].set()
    until(lambda: len(begun) == pulls.AT_ONCE + 1, "the next one runs")
    assert begun[-1] == fifth.model
    ends[first[0].model].set()
    until(lambda: len(begun) == pulls.AT_ONCE + 2, "the last one runs")
    pulls_here.close()


def test_one_that_waits_can_be_cancelled_and_holds_nobody_up() -> None:
    script = Script()
    pulls_here = Pulls(script)
    for number in range(pulls.AT_ONCE):
        pulls_here.start(f"m{number}")
    until(lambda: script.times == pulls.AT_ONCE, "all of them run")
    waiting, behind = pulls_here.start("waiting"), pulls_here.start("behind")
    assert pulls_here.cancel(waiting.id).row().state == "cancelled"
    assert script.times == pulls.AT_ONCE
    script.go.set()
    assert behind.wait(10)
    assert (behind.seen.state, script.times) == ("done", pulls.AT_ONCE + 1)


def test_closing_stops_all_and_takes_no_new_ones() -> None:
    pulls_here = Pulls(Script())
    running = [pulls_here.start("a"), pulls_here.start("b")]
    pulls_here.close()
    assert [pull.seen.state for pull in running] == ["cancelled", "cancelled"]
    with pytest.raises(ShuttingDown):
        pulls_here.start("c")


def test_closing_does_not_wait_for_one_that_does_not_hear() -> None:
    deaf = threading.Event()

    def steps(report: Report, cancel: Cancel) -> None:
        deaf.wait(30)

    pulls_here = Pulls(Script(steps))
    pull = pulls_here.start("a")
    pulls_here.close(patience_s=0.05)
    assert not pull.seen.ended
    deaf.set()
    assert pull.wait(10)


def test_ended_pulls_stay_listed_but_not_for_ever_and_not_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script()
    script.go.set()
    pulls_here = Pulls(script)
    monkeypatch.setattr(pulls, "KEPT", 3)
    ids = []
    for number in range(5):
        pull = pulls_here.start(f"m{number}")
        pull.wait(10)
        ids.append(pull.id)
    assert [pull.id for pull in pulls_here.all()] == ids[-3:]
    monkeypatch.setattr(pulls, "KEPT_S", -1.0)
    assert pulls_here.all() == []
    with pytest.raises(NotFound):
        pulls_here.get(ids[-1])


def test_a_pull_that_runs_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "KEPT", 0)
    monkeypatch.setattr(pulls, "KEPT_S", -1.0)
    pulls_here = Pulls(Script())
    pull = pulls_here.start("tiny")
    assert pulls_here.all() == [pull]
    pulls_here.close()


@pytest.mark.anyio
async def test_watchers_on_a_loop_are_told_in_order_and_one_that_leaves_harms_nothing() -> None:
    last = 300

    def steps(report: Report, cancel: Cancel) -> None:
        for done in range(last + 1):
            report(Progress("download", done, last))
            time.sleep(0.001)

    script = Script(steps)
    script.go.set()
    pull = Pulls(script).start("tiny")

    async def leave() -> None:
        async for _ in pull.follow():
            return

    async def stay() -> list[int]:
        return [one.done async for one in pull.follow() if one is not None]

    _, first, second = await asyncio.gather(leave(), stay(), stay())
    assert first == sorted(first)
    assert first[-1] == second[-1] == last
    assert len(first) < last / 10
    assert pull.seen.state == "done"
    await asyncio.sleep(0)
    assert pull.watchers == 0


@pytest.mark.anyio
async def test_silence_is_told_so_that_a_connection_can_be_kept() -> None:
    pull = Pulls(Script()).start("tiny")
    quiet = 0
    async for one in pull.follow(silence_s=0.02):
        quiet += one is None
        if quiet == 3:
            pull.cancel()
    assert quiet >= 3
    assert pull.seen.state == "cancelled"


@pytest.mark.anyio
async def test_settling_ends_with_a_failure_at_once_or_with_the_first_bytes() -> None:
    def fail(report: Report, cancel: Cancel) -> None:
        raise DiskFull("There is no room.")

    failing = Pulls(Script(fail)).start("tiny")
    await failing.settle(60, 60)
    assert failing.seen.ended

    begun = Pulls(Script(count_to(3))).start("tiny")
    await begun.settle(60, 60)
    assert not begun.seen.ended
    begun.cancel()

    silent: Pull = Pulls(Script()).start("tiny")
    await silent.settle(0.02, 60)
    assert not silent.seen.ended
    silent.cancel()

    looking = Pulls(Script(lambda report, cancel: report(Progress("find")))).start("tiny")
    await looking.settle(60, 0.02)
    assert not looking.seen.ended
    looking.cancel()


def test_reports_of_many_threads_are_all_counted() -> None:
    def steps(report: Report, cancel: Cancel) -> None:
        def tell() -> None:
            for number in range(200):
                report(Progress("download", number, note="x" if number % 20 == 0 else ""))

        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    script = Script(steps)
    script.go.set()
    pull = Pulls(script).start("tiny")
    pull.wait(10)
    assert pull.seen.changes == 800
    assert len(pull.row().notes) == pull.seen.noted == 40
