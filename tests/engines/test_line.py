from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from noibo.engines.engine import Model
from noibo.engines.supervision.claim import Claim, Priority, Standing
from noibo.engines.supervision.line import REMEMBERED, Line
from noibo.engines.supervision.ticket import Ticket

MODEL = Model("m", "echo")


def ticket(caller: str, priority: Priority = Priority.INTERACTIVE, model: Model = MODEL) -> Ticket:
    return Ticket(Claim(model, caller, priority), lambda _: Standing(0, None, "queue"))


def line_of(*tickets: Ticket, longest: int = 1000) -> Line:
    line = Line(longest)
    for one in tickets:
        line.add(one)
    return line


def served(line: Line, slots: int = 1) -> list[Ticket]:
    """Everyone, in the order they get a slot, each giving it back before the next."""
    order: list[Ticket] = []
    while (one := line.next("m")) is not None:
        line.remove(one)
        line.took(one)
        order.append(one)
        if len(order) >= slots:
            line.gave_back(order[len(order) - slots])
    return order


def test_one_callers_requests_go_in_order() -> None:
    tickets = [ticket("a") for _ in range(5)]
    assert served(line_of(*tickets)) == tickets


def test_a_caller_with_one_request_is_not_behind_one_with_a_hundred() -> None:
    many = [ticket("a") for _ in range(100)]
    one = ticket("b")
    line = line_of(*many, one)
    assert line.places("m")[one] == 2
    assert served(line).index(one) == 1


def test_two_callers_are_served_in_turn() -> None:
    line = line_of(*[ticket("a") for _ in range(4)], *[ticket("b") for _ in range(4)])
    assert [one.claim.caller for one in served(line)] == list("abababab")


def test_who_holds_slots_waits_for_those_who_hold_none() -> None:
    line = line_of(*[ticket("a") for _ in range(4)])
    for _ in range(2):  # a holds two slots
        one = line.next("m")
        assert one is not None
        line.remove(one)
        line.took(one)
    first, second = ticket("b"), ticket("b")
    line.add(first)
    line.add(second)
    assert [line.places("m")[one] for one in (first, second)] == [1, 2]


def test_the_interactive_go_before_the_batch() -> None:
    batch = [ticket("a", Priority.BATCH) for _ in range(3)]
    late = ticket("b")
    assert served(line_of(*batch, late))[0] is late


def test_one_caller_gets_half_of_the_line_and_leaves_room_for_others() -> None:
    line = Line(8)
    while line.has_place_for("a"):
        line.add(ticket("a"))
    assert line.waiting("m") == 4
    while line.has_place_for("b"):
        line.add(ticket("b"))
    assert line.waiting("m") == 6
    assert line.has_place_for("c")


def test_a_line_is_never_longer_than_its_bound() -> None:
    line = Line(8)
    for n in range(100):
        if line.has_place_for(f"caller {n}"):
            line.add(ticket(f"caller {n}"))
    assert len(line) == 8


def test_a_ticket_leaves_from_anywhere() -> None:
    tickets = [ticket("a") for _ in range(3)]
    line = line_of(*tickets)
    line.remove(tickets[1])
    assert served(line) == [tickets[0], tickets[2]]
    assert len(line) == 0
    assert line.models() == []


def test_a_line_that_is_never_empty_remembers_only_so_many_callers() -> None:
    line = Line(8)
    line.add(ticket("patient"))
    for n in range(2 * REMEMBERED):
        one = ticket(f"caller {n}")
        line.took(one)
        line.gave_back(one)
    assert len(line._lines["m"]._served) == REMEMBERED


def test_lines_for_two_models_are_apart() -> None:
    other = ticket("a", model=Model("n", "echo"))
    line = line_of(ticket("a"), other)
    assert line.places("n") == {other: 1}
    assert set(line.models()) == {"m", "n"}


requests = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(list(Priority))), max_size=40
)


@given(requests, st.integers(1, 4))
def test_everybody_is_served_once_and_in_the_order_that_was_told(
    asked: list[tuple[str, Priority]], slots: int
) -> None:
    tickets = [ticket(caller, priority) for caller, priority in asked]
    line = line_of(*tickets)
    told = sorted(tickets, key=lambda one: line.places("m")[one])
    order = served(line, slots)
    assert sorted(order, key=id) == sorted(tickets, key=id)
    if slots == 1 or len({caller for caller, _ in asked}) == 1:
        assert [t.claim.priority for t in order] == sorted(t.claim.priority for t in order)
    assert order[:1] == told[:1]
    assert len(line) == 0


@given(requests.filter(lambda asked: len(asked) > 3))
def test_no_two_waiting_callers_of_one_priority_are_ever_two_answers_apart(
    asked: list[tuple[str, Priority]],
) -> None:
    line = line_of(*[ticket(caller, priority) for caller, priority in asked])
    left = Counter(asked)
    got: Counter[tuple[str, Priority]] = Counter()
    for one in served(line):
        key = (one.claim.caller, one.claim.priority)
        got[key] += 1
        left[key] -= 1
        still = [k for k in left if left[k] and k[1] is one.claim.priority]
        # Between two who both still wait, neither is more than one answer ahead.
        counts = [got[k] for k in still]
        if key in still and counts:
            assert got[key] - min(counts) <= 1


def test_who_holds_slots_is_known_although_nobody_waits() -> None:
    line = Line(10)
    for caller in "aaab":  # each comes, and gets a slot at once
        one = ticket(caller)
        line.add(one)
        line.remove(one)
        line.took(one)
    waiting = [ticket("a"), ticket("b")]
    for one in waiting:
        line.add(one)
    assert line.next("m") is waiting[1]
