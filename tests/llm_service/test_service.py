"""The service with the echo engine: real workers, no model."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from noibo.engines.worker import State
from noibo.errors import (
    EngineError,
    EngineMissing,
    InvalidRequest,
    NoiboError,
    ShuttingDown,
    WorkerDied,
)
from noibo.llm_service import Answer, LLMService, llm_service
from noibo.llm_service.room import Room
from tests.llm_service.test_finding import checkpoint
from tests.running import clean_environment

pytestmark = pytest.mark.anyio

Echo = Callable[..., None]
WORDS = "one two three four five six seven eight nine ten"


def room_of(service: LLMService) -> Room:
    assert service._room is not None
    return service._room


def pid_of(service: LLMService) -> int:
    pid = service.get_model_info()["pid"]
    assert isinstance(pid, int)
    return pid


def answering(service: LLMService) -> int:
    """Answers that the worker's slots are taken for."""
    home = room_of(service).home
    return home.worker.leases if home and home.worker else 0


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


# ── importing and loading ───────────────────────────────────────────────────


def test_an_import_starts_and_reads_nothing_and_is_light(home: Path) -> None:
    code = """
import json, sys, threading
from noibo.llm_service import llm_service
print(json.dumps([sorted(sys.modules), threading.active_count()]))
"""
    environ = clean_environment(home) | {"MAX_LENGTH": "no number"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    modules, threads = json.loads(done.stdout)
    heavy = {"fastapi", "starlette", "torch", "transformers", "aiohttp", "sqlalchemy", "psutil"}
    assert not heavy & set(modules)
    assert "noibo.settings" not in modules
    assert threads == 1
    assert not home.exists()


@pytest.mark.heavy
def test_what_the_first_question_imports_is_not_imported_on_the_event_loop(home: Path) -> None:
    code = """
import asyncio, json, sys, threading
from noibo.llm_service import LLMService

seen = {True: [], False: []}

def note(event, arguments):
    if event == "import" and arguments[0].startswith("noibo."):
        seen[threading.current_thread() is threading.main_thread()].append(arguments[0])

async def main():
    said = [piece async for piece in service.generate_answer_with_streaming("Hello")]
    seen["said"] = said + [await service.generate_answer_async("there")]

sys.addaudithook(note)
with LLMService("echo") as service:
    asyncio.run(main())
print(json.dumps(seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["said"] == ["Hello", "there"]
    assert "noibo.llm_service.asking" in seen["false"]
    assert seen["true"] == []


async def test_callers_that_come_together_share_one_load(service: LLMService) -> None:
    assert not service.is_loaded
    await asyncio.gather(*(service.load_model() for _ in range(5)))
    assert service.is_loaded
    family = psutil.Process().children()
    assert [child.pid for child in family].count(pid_of(service)) == 1
    pid = pid_of(service)
    await service.load_model()
    assert pid_of(service) == pid


async def test_a_load_that_fails_says_why_and_can_be_tried_again(echo: Echo) -> None:
    echo(start_fails="of no good model")
    with LLMService("echo") as service:
        with pytest.raises(NoiboError, match="of no good model") as caught:
            await service.load_model()
        assert "noibo llm test" in caught.value.next_step
        assert not service.is_loaded
        echo()
        await service.load_model()
        assert service.generate_answer("Hello") == "Hello"


async def test_after_a_load_that_failed_what_is_chosen_then_is_asked(
    echo: Echo, service: LLMService
) -> None:
    echo(start_fails="of too large a model")
    with pytest.raises(NoiboError, match="of too large a model"):
        await service.load_model()
    echo(text="of a smaller one")
    assert service.generate_answer("Hello") == "of a smaller one"


async def test_a_load_under_way_is_not_cut_off_by_another(echo: Echo, service: LLMService) -> None:
    echo(start_delay_s=0.5)
    first = asyncio.create_task(service.load_model())
    await eventually(lambda: service._room is not None and service._room.home is not None)
    echo(text="of the other")
    await asyncio.gather(first, service.load_model())
    assert service.generate_answer("Hello") == "of the other"


def test_an_answer_before_the_load_loads_by_itself(service: LLMService) -> None:
    assert service.generate_answer("Hello") == "Hello"
    assert service.is_loaded


async def test_another_model_takes_the_place_of_the_first(loaded: LLMService, echo: Echo) -> None:
    before = pid_of(loaded)
    echo(text="of the other")
    await asyncio.gather(loaded.load_model(), loaded.load_model())
    assert loaded.generate_answer("Hello") == "of the other"
    assert not psutil.pid_exists(before)


async def test_an_answer_under_way_ends_before_another_model_is_loaded(
    echo: Echo, service: LLMService
) -> None:
    echo(delay_ms=20, text=WORDS)
    await service.load_model()
    task = asyncio.create_task(service.generate_answer_async("Hello"))
    await eventually(lambda: answering(service) == 1)
    echo(text="of the other")
    await service.load_model()
    assert await task == WORDS
    assert service.generate_answer("Hello") == "of the other"


@pytest.mark.skipif(find_spec("transformers") is not None, reason="it is installed")
async def test_a_checkpoint_without_its_engine_names_the_command(tmp_path: Path) -> None:
    service = LLMService(checkpoint(tmp_path / "small"))
    with service, pytest.raises(EngineMissing, match="noibo engines install transformers"):
        await service.load_model()


# ── asking ──────────────────────────────────────────────────────────────────


async def test_an_answer_is_a_text_with_and_without_await(loaded: LLMService) -> None:
    plain = loaded.generate_answer("Xin chào")
    waited = await loaded.generate_answer("Xin chào")
    own = await loaded.generate_answer_async("Xin chào")
    assert plain == waited == own == "Xin chào"
    assert (plain.taken.model, plain.taken.finish_reason, plain.taken.tokens) == ("echo", "stop", 2)
    assert json.dumps({"answer": plain}, ensure_ascii=False) == '{"answer": "Xin chào"}'
    again = pickle.loads(pickle.dumps(plain))
    assert isinstance(again, Answer)
    assert (again, again.taken) == (plain, plain.taken)


async def test_question_and_context_are_both_asked(loaded: LLMService) -> None:
    said = loaded.generate_answer("What is AI?", ["AI thinks.", "So it is said."])
    assert "AI thinks.\n\nSo it is said." in said
    assert "What is AI?" in said


async def test_the_limit_of_a_call_goes_before_that_of_the_settings(loaded: LLMService) -> None:
    loaded.update_generation_config(max_tokens=3)
    assert loaded.generate_answer(WORDS).split() == WORDS.split()[:3]
    assert loaded.generate_answer(WORDS, max_tokens=2).split() == WORDS.split()[:2]
    assert loaded.generate_answer(WORDS, max_tokens=2).taken.finish_reason == "length"


@pytest.mark.parametrize(
    "call",
    [{"question": ""}, {"question": "x", "max_tokens": 0}, {"question": "x", "temperature": -1}],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_loaded(
    service: LLMService, call: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest):
        service.generate_answer(**call)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        await service.generate_answer_async(**call)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        async for _ in service.generate_answer_with_streaming(**call):  # type: ignore[arg-type]
            pass
    assert service._room is None


def test_many_threads_ask_at_once(service: LLMService) -> None:
    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(service.generate_answer, WORDS.split()))
    assert said == WORDS.split()


def test_one_event_loop_after_the_other(service: LLMService) -> None:
    async def one(question: str) -> tuple[str, int]:
        await service.load_model()
        streamed = [piece async for piece in service.generate_answer_with_streaming(question)]
        return "".join(streamed), pid_of(service)

    first, second = asyncio.run(one("first")), asyncio.run(one("second"))
    assert (first[0], second[0]) == ("first", "second")
    assert first[1] == second[1]


async def test_two_event_loops_at_once(loaded: LLMService) -> None:
    said: list[str] = []

    def other() -> None:
        said.append(asyncio.run(loaded.generate_answer_async("there")))

    thread = threading.Thread(target=other)
    thread.start()
    assert await loaded.generate_answer_async("here") == "here"
    await asyncio.to_thread(thread.join)
    assert said == ["there"]


# ── streaming ───────────────────────────────────────────────────────────────


async def test_a_stream_adds_up_to_the_answer(loaded: LLMService) -> None:
    pieces = [one async for one in loaded.generate_answer_with_streaming(WORDS)]
    assert len(pieces) == 10
    assert "".join(pieces) == loaded.generate_answer(WORDS)


async def test_a_pace_does_not_hold_the_engine_up(loaded: LLMService) -> None:
    stream = loaded.generate_answer_with_streaming(WORDS, words_per_second=1)
    assert await anext(stream) == "one "
    await eventually(lambda: not answering(loaded))  # it has said all of it
    await stream.aclose()


async def test_leaving_in_the_middle_frees_the_slot(echo: Echo, service: LLMService) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))
    async for piece in service.generate_answer_with_streaming("Hello"):
        assert piece
        assert answering(service) == 1
        break
    await eventually(lambda: not answering(service))
    assert service.is_loaded


async def test_an_error_of_the_reader_frees_the_slot_too(echo: Echo, service: LLMService) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))
    with pytest.raises(KeyError):
        async for piece in service.generate_answer_with_streaming("Hello", words_per_second=100):
            raise KeyError(piece)
    await eventually(lambda: not answering(service))


async def test_a_cancelled_call_frees_the_slot(echo: Echo, service: LLMService) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))
    await service.load_model()
    task = asyncio.create_task(service.generate_answer_async("Hello"))
    await eventually(lambda: answering(service) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not answering(service))


def test_a_loop_that_ends_in_mid_stream_frees_the_slot(echo: Echo, service: LLMService) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))

    async def begin() -> None:
        stream = service.generate_answer_with_streaming("Hello")
        await anext(stream)
        kept.append(stream)

    kept: list[object] = []
    asyncio.run(begin())
    asyncio.run(eventually(lambda: not answering(service)))


async def test_a_stream_that_breaks_gives_what_there_was_and_then_the_error(
    echo: Echo, service: LLMService
) -> None:
    echo(cut_after=3, text=WORDS)
    seen = []
    with pytest.raises(EngineError):
        async for piece in service.generate_answer_with_streaming("Hello"):
            seen.append(piece)
    assert "".join(seen).split() == ["one", "two", "three"]


async def test_after_a_worker_has_died_another_is_there(echo: Echo, service: LLMService) -> None:
    echo(die_after=2, text=WORDS)
    with pytest.raises(WorkerDied) as caught:
        service.generate_answer("Hello")
    assert "noibo llm test" in caught.value.next_step
    echo(text="well")
    await service.load_model()
    assert service.generate_answer("Hello") == "well"


# ── seeing and ending ───────────────────────────────────────────────────────


def test_what_is_said_of_it_are_numbers_before_it_is_loaded_too(service: LLMService) -> None:
    before = service.get_model_info()
    service.generate_answer("Hello")
    after = service.get_model_info()
    assert before.keys() == after.keys()
    numbers = {name for name, value in after.items() if type(value) in {int, float}}
    assert {"gpu_memory_allocated", "memory_allocated", "ram_total", "parameters", "pid"} <= numbers
    assert all(type(before[name]) in {int, float} for name in numbers)
    assert (before["loaded"], after["loaded"]) == (False, True)
    assert after["memory_allocated"] > 0


async def test_cleaning_up_ends_the_worker_and_may_be_done_twice(loaded: LLMService) -> None:
    pid = pid_of(loaded)
    await asyncio.gather(loaded.cleanup(), loaded.cleanup())
    await loaded.cleanup()
    assert not psutil.pid_exists(pid)
    assert not loaded.is_loaded
    assert loaded.generate_answer("again") == "again"


async def test_cleaning_up_what_was_never_used_does_no_harm() -> None:
    await LLMService("echo").cleanup()


async def test_who_is_asked_while_it_is_cleaned_up_is_told(echo: Echo, service: LLMService) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))
    await service.load_model()
    task = asyncio.create_task(service.generate_answer_async("Hello"))
    await eventually(lambda: answering(service) == 1)
    await service.cleanup()
    with pytest.raises(ShuttingDown, match="cleanup"):
        await task


async def test_cleaning_up_while_another_model_takes_the_place_leaves_nothing(
    echo: Echo, service: LLMService
) -> None:
    echo(delay_ms=20, text=" ".join(["word"] * 3000))
    await service.load_model()
    pid, room = pid_of(service), room_of(service)
    asked = asyncio.create_task(service.generate_answer_async("Hello"))
    await eventually(lambda: answering(service) == 1)
    echo(text="of the other")
    loading = asyncio.create_task(service.load_model())
    await eventually(lambda: room.home is None)  # it waits for the end of the answer
    await service.cleanup()
    assert not psutil.pid_exists(pid)
    for task in (asked, loading):
        with pytest.raises(ShuttingDown, match="cleanup"):
            await task


async def test_a_service_that_nobody_has_any_more_is_unloaded() -> None:
    service = LLMService("echo")
    await service.load_model()
    pid = pid_of(service)
    del service
    gc.collect()
    await eventually(lambda: not psutil.pid_exists(pid))


async def test_with_async_with_it_is_loaded_inside_and_gone_outside() -> None:
    async with LLMService("echo") as service:
        assert service.is_loaded
        pid = pid_of(service)
    assert not psutil.pid_exists(pid)


async def test_a_cache_is_cleared_only_where_it_has_grown(
    loaded: LLMService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = pid_of(loaded)
    assert loaded.clear_gpu_cache() == 0
    assert pid_of(loaded) == pid
    monkeypatch.setattr("noibo.llm_service.home.LEAST_CLEARED", -(2**40))
    loaded.clear_gpu_cache()
    assert pid_of(loaded) != pid
    assert loaded.generate_answer("still there") == "still there"
    assert LLMService("echo").clear_gpu_cache() == 0


async def test_what_was_chosen_for_the_gpu_is_taken_by_the_next_load(loaded: LLMService) -> None:
    said = loaded.optimize_for_gpu(use_quantization=True, load_in_8bit=True, load_in_4bit=False)
    assert "for its engine, echo" in said
    await loaded.load_model()
    info = loaded.get_model_info()
    assert (info["load_in_8bit"], info["note"]) == (True, said)
    assert said in info["advice"]
    with pytest.raises(InvalidRequest):
        loaded.optimize_for_gpu(load_in_8bit=True, load_in_4bit=True)
    assert not loaded.load_in_4bit


def test_before_a_model_is_here_the_choice_is_kept(tmp_path: Path) -> None:
    with LLMService(tmp_path / "none") as service:
        assert "when one is loaded" in service.optimize_for_gpu(load_in_4bit=True)
        assert service.load_in_4bit


def test_the_services_of_one_program_are_apart(service: LLMService) -> None:
    with LLMService("echo") as other:
        assert service.generate_answer("a") == other.generate_answer("a")
        assert pid_of(service) != pid_of(other)
    assert service.get_model_info()["loaded"]
    assert room_of(service).home.worker.state is State.READY  # type: ignore[union-attr]


def test_the_programs_own_service_is_one(home: Path) -> None:
    from noibo.llm_service import llm_service as again

    assert again is llm_service
    assert llm_service._room is None
