from __future__ import annotations

import signal

import pytest

from noibo.engines.faults import Kind, diagnose, kernel_kills


@pytest.mark.parametrize(
    ("code", "log", "kind"),
    [
        (3, [], Kind.REFUSED),
        (1, ["error loading model: unknown model architecture: 'x'"], Kind.REFUSED),
        (
            1,
            ["terminate called after throwing an instance of 'std::bad_alloc'"],
            Kind.OUT_OF_MEMORY,
        ),
        (1, ["llama_kv_cache: failed to allocate buffer for kv cache"], Kind.OUT_OF_MEMORY),
        (
            1,
            ["ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)"],
            Kind.OUT_OF_MEMORY,
        ),
        (1, ["CUDA error: out of memory"], Kind.OUT_OF_MEMORY),
        (1, ["MemoryError"], Kind.OUT_OF_MEMORY),
        (-signal.SIGABRT, ["what():  std::bad_alloc"], Kind.OUT_OF_MEMORY),
        (-signal.SIGABRT, ["GGML_ASSERT(n > 0) failed"], Kind.CRASHED),
        (-signal.SIGSEGV, [], Kind.CRASHED),
        (-signal.SIGKILL, [], Kind.KILLED),
        (-signal.SIGKILL, ["warning: failed to mlock: Cannot allocate memory"], Kind.KILLED),
        (-signal.SIGTERM, [], Kind.KILLED),
        (-signal.SIGILL, [], Kind.ILLEGAL_INSTRUCTION),
        (-63, [], Kind.CRASHED),
    ],
)
def test_an_exit_is_read(code: int, log: list[str], kind: Kind) -> None:
    assert diagnose(code, log).kind is kind


def test_a_kill_while_the_kernel_was_short_of_memory_is_named_so() -> None:
    fault = diagnose(-signal.SIGKILL, [], kernel_was_short=True)
    assert fault.kind is Kind.OUT_OF_MEMORY
    assert "the system was out of memory" in fault.text


def test_exits_are_told_in_words() -> None:
    assert diagnose(3, []).text == "ended with exit code 3"
    assert "illegal instruction" in diagnose(-signal.SIGILL, []).text
    assert diagnose(-signal.SIGKILL, []).text == "was ended by SIGKILL"


def test_the_kernels_count_is_a_number() -> None:
    assert kernel_kills() >= 0
