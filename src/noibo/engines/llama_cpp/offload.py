"""Which layers of a model go to which GPU, and what is left to the machine's own memory.

llama.cpp puts what scores the vocabulary on a GPU before any layer, and then whole layers, the last
ones first; with several GPUs each gets a run of them by its share (`tensor_split`), the scores
behind the last layer. A projector goes to the first GPU there is. Every GPU computes in a buffer of
its own, and its driver takes some memory for itself. The table that tokens are looked up in stays
with the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from noibo.engines.engine import Model, Verb
from noibo.engines.memory.size import Need

MIB: Final = 2**20
DRIVER: Final = 512 * MIB  # what a GPU's driver and libraries take before any tensor
SPARE: Final = 0.03  # of a GPU's memory: other programs draw on it too


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as the engine sees it; `free` in bytes. `shared`: it takes the machine's memory."""

    name: str
    free: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to place, in bytes: weights and state of all layers together, what scores the
    vocabulary, and a projector, which goes to the first GPU. `buffers` are wanted on every GPU.
    `fixed` are weights that stay; of a model whose scores are its table of tokens (`tied`), the
    GPU gets a copy."""

    layers: int
    weights: int
    state: int
    scores: int
    fixed: int
    buffers: int
    projector: int = 0
    tied: bool = False

    @property
    def a_layer(self) -> int:
        return max(-(-(self.weights + self.state) // max(self.layers, 1)), 1)

    @property
    def all_weights(self) -> int:
        return self.weights + self.fixed + self.projector + (0 if self.tied else self.scores)


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What one GPU gets, in bytes with its buffers. The first may get a projector alone."""

    name: str
    layers: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Offload:
    """`layers` as llama.cpp counts them: what scores is one more, and goes before any. `whole`: no
    layer stays. `devices` are all that there are, in the engine's order. `projector`: there was
    one, and it goes along."""

    layers: int = 0
    whole: bool = False
    main_gpu: int = 0
    devices: tuple[OnDevice, ...] = ()
    projector: bool = False

    @property
    def split(self) -> tuple[float, ...]:
        """Shares of the devices, in their order, of the layers and the scores behind them; () where
        there is nothing to share."""
        if len(self.devices) < 2:
            return ()
        last = max((i for i, one in enumerate(self.devices) if one.layers), default=-1)
        return tuple(float(one.layers + (i == last)) for i, one in enumerate(self.devices))


def load_of(model: Model, need: Need, projector: int = 0) -> Load | None:
    """What of a worker that takes `need` can be placed; None where its header does not say. What
    one that embeds computes in stands in its need as what it grows by."""
    info = model.info
    if info is None or not info.layers or not info.tensor_bytes:
        return None
    whole = max(model.bytes - projector - info.file_size, 0) + info.tensor_bytes
    parts = whole / info.tensor_bytes
    looked_up = parts * max(info.tensor_bytes - sum(info.matrices.values()), 0)
    rows = (info.vocabulary_size or 0) * (info.embedding_length or 0)
    scores = int(rows * (info.bits_per_weight or 16.0) / 8)
    tied = looked_up < scores / 2
    fixed = scores if tied else min(int(looked_up), whole)
    weights = max(whole - fixed - (0 if tied else scores), 0)
    buffers = need.compute + (need.kept if model.verb is Verb.EMBED else 0)
    return Load(info.layers, weights, need.kv, scores, fixed, buffers, projector, tied)


def place(load: Load, devices: Sequence[Device]) -> Offload:
    """As many layers as fit, on as few GPUs as hold them all: each step from one to another costs
    time. Where none fits, nothing is placed. A projector goes to the first GPU, whichever the
    layers go to, or stays."""
    if load.projector and (not devices or _room(load, devices[0]) < load.projector):
        load = replace(load, fixed=load.fixed + load.projector, projector=0)
    by_room = sorted(range(len(devices)), key=lambda i: (-devices[i].free, i))
    for count in range(1, len(devices) + 1):
        rooms = _rooms(load, devices, sorted(by_room[:count]))
        if sum(rooms.values()) >= load.layers:
            return _spread(load, devices, rooms)
    return _spread(load, devices, _rooms(load, devices, range(len(devices))))


def _room(load: Load, device: Device) -> int:
    """Bytes for tensors; negative where not even buffers have room."""
    driver = 0 if device.shared else DRIVER
    return int(device.free * (1 - SPARE)) - load.buffers - driver


def _rooms(load: Load, devices: Sequence[Device], chosen: Sequence[int]) -> dict[int, int]:
    """Layers that each of the chosen GPUs has room for. The last one holds the scores besides: one
    that cannot, and a layer with them, is not taken."""
    found = {i: _room(load, devices[i]) - (load.projector if i == 0 else 0) for i in chosen}
    scores = max(load.scores, load.a_layer)  # llama.cpp of 2025 sends one more layer in their place
    while found and found[max(found)] < scores + load.a_layer:
        del found[max(found)]
    if found:
        found[max(found)] -= scores
    return {i: max(room, 0) // load.a_layer for i, room in found.items()}


def _spread(load: Load, devices: Sequence[Device], rooms: dict[int, int]) -> Offload:
    counts = _shared_out(min(load.layers, sum(rooms.values())), rooms) if rooms else {}
    used = [i for i, count in counts.items() if count]
    if not used:
        return Offload()
    sizes = {i: counts[i] * load.a_layer + load.buffers for i in used}
    sizes[used[-1]] += load.scores
    if load.projector:
        sizes[0] = sizes.get(0, 0) + load.projector
    placed = tuple(
        OnDevice(device.name, counts.get(i, 0), sizes.get(i, 0)) for i, device in enumerate(devices)
    )
    layers = sum(counts.values())
    most = max(used, key=lambda i: (counts[i], -i))
    return Offload(layers + 1, layers == load.layers, most, placed, load.projector > 0)


def _shared_out(layers: int, rooms: dict[int, int]) -> dict[int, int]:
    """By the room there is, never more than that. The last one gets a layer at least: the scores
    follow the last layer, and only there is room for them."""
    total = sum(rooms.values())
    counts = {i: layers * room // total for i, room in rooms.items()}
    counts[max(rooms)] = max(counts[max(rooms)], 1)
    for i in sorted(rooms, key=lambda i: (counts[i] - rooms[i], i)):
        counts[i] += min(layers - sum(counts.values()), rooms[i] - counts[i])
    return counts


def left(need: Need, load: Load, offload: Offload) -> Need:
    """What the processor's side still takes. Weights that are copied into another order there are
    not, once they have left."""
    moved = sum(one.layers for one in offload.devices) / load.layers
    if not moved or not load.all_weights:
        return need
    stays = load.fixed + load.weights * (1 - moved)
    stays += 0 if offload.projector else load.projector
    weights = round(need.weights * min(stays / load.all_weights, 1.0))
    return replace(need, weights=weights, kv=round(need.kv * (1 - moved)))
