"""What was measured is kept, believed where it fits, and forgotten in time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from noibo.engines.memory.book import HALF_LIFE_S, MOST_ROWS, RECENT_PROMPTS, Book
from noibo.engines.memory.size import Need, Use

NEED = Need(weights=800, kv=150, base=50, kept=400)


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.time = 1e9

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "memory.json"


def test_before_anything_was_measured_the_estimate_holds(path: Path) -> None:
    assert Book(path).expected("a", "llama_cpp", NEED) == 1000
    assert not path.exists()


def test_what_was_measured_of_the_same_size_is_believed_in_the_next_run_too(path: Path) -> None:
    Book(path).measured("a", "llama_cpp", NEED, 1700)
    assert Book(path).expected("a", "llama_cpp", NEED) == 1700


def test_another_size_is_corrected_by_what_the_engine_was_wrong_by(path: Path) -> None:
    book = Book(path)
    for key, held in (("a", 1200), ("b", 1200), ("c", 1200), ("d", 9000)):  # one is far off
        book.measured(key, "llama_cpp", NEED, held)
    assert book.expected("e", "llama_cpp", NEED) == 1200
    assert book.expected("e", "echo", NEED) == 1000


def test_a_correction_never_runs_wild(path: Path) -> None:
    book = Book(path)
    for number in range(5):
        book.measured(f"small {number}", "small", NEED, 10)
        book.measured(f"large {number}", "large", NEED, 50_000)
    assert book.expected("x", "small", NEED) == 500
    assert book.expected("x", "large", NEED) == 2000
    assert book.expected("large 4", "large", NEED) == 50_000  # measured is measured


def test_a_measurement_that_says_nothing_new_is_not_written(path: Path) -> None:
    book = Book(path)
    book.measured("a", "llama_cpp", NEED, 1000)
    path.unlink()
    book.measured("a", "llama_cpp", NEED, 1010)
    book.measured("a", "llama_cpp", NEED, 0)  # it was gone already
    book.used("m", Use())
    assert not path.exists()
    book.measured("a", "llama_cpp", NEED, 1100)
    assert path.exists()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[1]", b'{"measured": 3}', b'{"measured": {"a": {"held": "x"}}}', b"\xff"],
)
def test_a_damaged_file_is_an_empty_one_and_is_mended(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    book = Book(path)
    assert book.expected("a", "llama_cpp", NEED) == 1000
    book.measured("a", "llama_cpp", NEED, 1700)
    assert Book(path).expected("a", "llama_cpp", NEED) == 1700


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_memory_of_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    book = Book(tmp_path / "data" / "memory.json")
    book.measured("a", "llama_cpp", NEED, 1700)
    assert book.expected("a", "llama_cpp", NEED) == 1700


def test_the_oldest_rows_go(path: Path, clock: Clock) -> None:
    book = Book(path, clock)
    for number in range(MOST_ROWS + 5):
        clock.time += 1
        book.measured(f"key {number}", "llama_cpp", NEED, 1700)
    again = Book(path, clock)
    assert again.expected(f"key {MOST_ROWS + 4}", "echo", NEED) == 1700
    assert again.expected("key 0", "echo", NEED) == 1000


def test_a_rush_is_forgotten_and_counts_add_up(path: Path, clock: Clock) -> None:
    book = Book(path, clock)
    book.used("m", Use(8, 6000, prompts=10, prompt_tokens=900, reused_tokens=300))
    book.used("m", Use(2, 100, prompts=5, prompt_tokens=100, reused_tokens=0))
    assert Book(path, clock).use("m") == Use(8, 6000, 15, 1000, 300)
    clock.time += HALF_LIFE_S
    assert (book.use("m").callers, book.use("m").tokens) == (4, 3000)
    book.used("m", Use(3, 3500, prompts=1))
    assert (book.use("m").callers, book.use("m").tokens) == (4, 3500)
    clock.time += 50 * HALF_LIFE_S
    assert book.use("m") == Use(1, 0, 16, 1000, 300)
    clock.time = 0.0  # a clock that went back
    assert book.use("m").callers <= 4
    assert book.use("another") == Use()


def test_tokens_of_long_ago_count_less(path: Path) -> None:
    book = Book(path)
    tenth = RECENT_PROMPTS // 10
    for _ in range(100):  # nobody came back
        book.used("m", Use(1, 100, prompts=tenth, prompt_tokens=100 * tenth))
    for _ in range(10):  # then everybody
        book.used("m", Use(1, 100, tenth, 100 * tenth, reused_tokens=90 * tenth))
    use = book.use("m")
    assert use.prompts == 11 * RECENT_PROMPTS
    assert use.reused_tokens > 0.5 * use.prompt_tokens


def test_many_threads_lose_nothing(path: Path) -> None:
    book = Book(path)

    def use() -> None:
        for _ in range(20):
            book.used("m", Use(1, 1, prompts=1))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Book(path).use("m").prompts == 80
