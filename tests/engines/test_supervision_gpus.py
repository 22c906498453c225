"""Who gets a GPU that has room for one: by echo models, and a card that is only told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Launch, Model, Speed
from noibo.engines.memory.size import Size
from noibo.engines.supervision.supervisor import Supervisor
from noibo.errors import GpuMissing
from noibo.hardware.offload import Usable
from tests.engines.supervised import Holder, Make, ask, echo, for_one, running

pytestmark = pytest.mark.anyio
LAYERS = 5


class Card(Echo):
    """Places a model on its card as long as no other one is there."""

    def __init__(self) -> None:
        self.running: Callable[[], list[str]] = list

    def usable(self) -> Usable:
        return Usable()

    def look_again(self) -> None:
        pass

    def launch(self, model: Model, size: Size, limits: settings.Engine, speed: Speed) -> Launch:
        launch = super().launch(model, size, limits, speed)
        free = not self.running()
        placement = {"device": "gpu" if free else "cpu", "gpu_layers": LAYERS if free else 0}
        return replace(launch, placement=placement)


def layers(supervisor: Supervisor) -> dict[str, int]:
    return {
        worker.model.name: worker.launch.placement["gpu_layers"] for worker in supervisor.workers()
    }


async def test_an_idle_model_leaves_the_gpu_to_one_that_must_have_it(make: Make) -> None:
    card = Card()
    supervisor = make(engine=card, limits={"require_gpu": True})
    card.running = lambda: running(supervisor)
    await ask(supervisor, echo("a"))
    await ask(supervisor, echo("b"))
    assert layers(supervisor) == {"b": LAYERS}


async def test_a_model_that_answers_keeps_its_gpu(make: Make) -> None:
    card = Card()
    supervisor = make(engine=card, limits={"require_gpu": True})
    card.running = lambda: running(supervisor)
    busy = await Holder(supervisor, echo("a")).began()
    with pytest.raises(GpuMissing):
        await ask(supervisor, echo("b"))
    assert running(supervisor) == ["a"]
    await busy.end()


async def test_it_is_planned_again_when_another_has_made_room(make: Make) -> None:
    card = Card()
    supervisor = make(engine=card, memory=for_one())
    card.running = lambda: running(supervisor)
    await ask(supervisor, echo("a"))
    await ask(supervisor, echo("b"))
    assert layers(supervisor) == {"b": LAYERS}


async def test_two_loads_at_once_are_not_placed_in_the_same_memory(make: Make) -> None:
    card = Card()
    supervisor = make(engine=card)
    card.running = lambda: running(supervisor)
    await asyncio.gather(ask(supervisor, echo("a")), ask(supervisor, echo("b")))
    assert sorted(layers(supervisor).values()) == [0, LAYERS]
