"""Which layers of a model go to which GPU, and what is left to the machine's own memory.

llama.cpp puts whole layers on a GPU, the last ones first, and what scores the vocabulary after all
of them; with several GPUs each gets a run of layers by its share (`tensor_split`). Every GPU
computes in a buffer of its own, and its driver takes some memory for itself. The table that tokens
are looked up in stays with the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from noibo.engines.engine import Model
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
    """What one GPU gets, in bytes with its buffers."""

    name: str
    layers: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Offload:
    """`layers` as llama.cpp counts them: one more than the model has where the scores go along
    (`whole`). `devices` are all that there are, in the engine's order."""

    layers: int = 0
    whole: bool = False
    main_gpu: int = 0
    devices: tuple[OnDevice, ...] = ()

    @property
    def split(self) -> tuple[float, ...]:
        """Shares of the devices, in their order; () where there is nothing to share."""
        return tuple(float(one.layers) for one in self.devices) if len(self.devices) > 1 else ()


def load_of(model: Model, need: Need, projector: int = 0) -> Load | None:
    """What of a worker that takes `need` can be placed; None where its header does not say."""
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
    buffers = need.compute
    return Load(info.layers, weights, need.kv, scores, fixed, buffers, projector, tied)


def place(load: Load, devices: Sequence[Device]) -> Offload:
    """As many layers as fit, on as few GPUs as hold them all: each step from one to another costs
    time. Where none fits, nothing is placed."""
    by_room = sorted(range(len(devices)), key=lambda i: (-devices[i].free, i))
    for count in range(1, len(devices) + 1):
        rooms = _rooms(load, devices, sorted(by_room[:count]))
        if sum(rooms.values()) >= load.layers + _for_scores(load):
            return _spread(load, devices, rooms)
    return _spread(load, devices, _rooms(load, devices, range(len(devices))))


def _for_scores(load: Load) -> int:
    """The scores take as much room as so many layers."""
    return -(-load.scores // load.a_layer)


def _rooms(load: Load, devices: Sequence[Device], chosen: Sequence[int]) -> dict[int, int]:
    """Layers that each of the chosen GPUs has room for."""
    found = {}
    for i in chosen:
        taken = load.buffers + (0 if devices[i].shared else DRIVER)
        taken += load.projector if i == chosen[0] else 0
        found[i] = max(int(devices[i].free * (1 - SPARE)) - taken, 0) // load.a_layer
    return found


def _spread(load: Load, devices: Sequence[Device], rooms: dict[int, int]) -> Offload:
    total = sum(rooms.values())
    whole = total >= load.layers + _for_scores(load)
    counts = _shared_out(min(load.layers, total), rooms) if total else {}
    used = [i for i, count in counts.items() if count]
    if not used:
        return Offload()
    sizes = {i: counts[i] * load.a_layer + load.buffers for i in used}
    sizes[used[0]] += load.projector
    sizes[used[-1]] += load.scores if whole else 0
    placed = tuple(
        OnDevice(device.name, counts.get(i, 0), sizes.get(i, 0)) for i, device in enumerate(devices)
    )
    most = max(used, key=lambda i: (counts[i], -i))
    return Offload(sum(counts.values()) + whole, whole, most, placed)


def _shared_out(layers: int, rooms: dict[int, int]) -> dict[int, int]:
    """By the room there is, never more than that."""
    total = sum(rooms.values())
    counts = {i: layers * room // total for i, room in rooms.items()}
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
    stays += 0 if offload.whole or load.tied else load.scores
    weights = round(need.weights * min(stays / load.all_weights, 1.0))
    return replace(need, weights=weights, kv=round(need.kv * (1 - moved)))
