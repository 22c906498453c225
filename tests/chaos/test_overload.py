"""Ten times as much as can be answered, for half a minute; the long form is a benchmark."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.chaos.call import Call, as_grammar
from tests.chaos.echoes import echoes
from tests.chaos.flood import Ask, Flood, Found, capacity, scripted
from tests.running import RunningServer, until

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]

TIMES = 10.0


async def flooded(server: RunningServer, make: Ask, slots: int, seconds: float) -> Found:
    """What a flood finds; afterwards the server is as it was before."""
    process = psutil.Process(server.pid)
    rate = TIMES * await capacity(server.url, make, slots, seconds=4)
    flood = await Flood(server.url, process.pid, make, rate, seconds).run()
    assert server.process.poll() is None
    files = flood.looks[0].files
    until(lambda: process.num_fds() <= files + 4, "its descriptors are free again")
    with server.client() as client:
        assert client.queue().waiting == []
        assert client.queue().answering == []
    return Found.of(flood)


def hold(found: Found) -> None:
    """What must hold of every flood."""
    assert found.lost == 0, found  # each is answered to the last word, or told 429
    assert found.without_retry_after == 0, found
    assert found.answers_of_others > found.answers_of_greedy, found  # who asked less in all
    assert found.answers_of_batch < found.answers_of_others / 4, found  # after all the others
    first, second = found.rss_halves_mib
    assert second < 1.1 * first + 8, found
    assert found.ttft_p50_s[1] < 2 * found.ttft_p50_s[0] + 1, found


async def test_ten_times_the_capacity_loses_no_answer_and_keeps_every_promise(home: Path) -> None:
    environ = {"NOIBO_ENGINE_PARALLEL": "4", "NOIBO_QUEUE_LONGEST": "64"}
    with echoes(home, {"m": {}}, **environ) as server:
        server.load("m")
        found = await flooded(server, scripted("m", 100, 20, words=5), slots=4, seconds=30)
    hold(found)
    assert found.refused > found.admitted, found
    assert found.promised > 50, found
    assert found.admitted_then > 0.8 * found.promised, found
    least, most = found.ttft_of_callers_s
    assert most < 4 * least + 1, found  # equal among callers who ask alike
    assert found.looked_p99_s < 2, found


async def test_a_real_model_under_ten_times_its_capacity(model_store: Path, home: Path) -> None:
    def make(number: int) -> Call:
        text = f"No. {number}"
        return Call("smollm2:135m", text, streamed=number % 4 != 0, more=as_grammar(text))

    environ = {
        "NOIBO_STORE_PATH": str(model_store),
        "NOIBO_ENGINE_PARALLEL": "2",
        "NOIBO_ENGINE_CTX_SIZE": "512",
        "NOIBO_QUEUE_LONGEST": "8",
    }
    with RunningServer(home, **environ) as server:
        server.load("smollm2:135m")
        found = await flooded(server, make, slots=2, seconds=30)
    hold(found)
    assert found.refused > 0, found  # how many more depends on how the machine's speed drifts
