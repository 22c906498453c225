"""Installations by the real pip from an index on loopback; the builds are tried in real workers."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from noibo import settings
from noibo.egress import Door
from noibo.engines.engine import Launch, Speed
from noibo.engines.environments.environment import Environments
from noibo.engines.environments.installing import Installer, Trial
from noibo.engines.environments.pip import Pip
from noibo.engines.environments.pip_words import Step
from noibo.engines.environments.recipe import BESIDE_TORCH, Around, Recipe, recipe
from noibo.engines.environments.trial import Answered, LlamaTrial
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.size import Size
from noibo.engines.worker import Worker
from noibo.errors import (
    DepartureNotRecorded,
    DigestMismatch,
    DiskFull,
    EgressRefused,
    EngineUnusable,
    FetchError,
    ModelNotFound,
    NoiboError,
    NotOffered,
)
from noibo.hardware.offload import Device
from noibo.modelstore.index import pip_settings
from noibo.modelstore.store import Store
from tests.engines.environments.wheels import (
    A_GPU,
    ANSWERS,
    DIES,
    NEVER_READY,
    NO_GPU,
    Index,
    pip_alone,
    running,
    wheel,
)
from tests.engines.fit.small_headers import header
from tests.engines.stocking import stock

LIMITS = settings.Engine(start_stall_s=30, stop_grace_s=2, threads=1)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with running(Index()) as index:
        for name, value in pip_alone(index).items():
            monkeypatch.setenv(name, value)
        yield index


@pytest.fixture
def trial(tmp_path: Path, smollm2_gguf: Path) -> LlamaTrial:
    store = Store(tmp_path / "models")
    stock(store, "small", smollm2_gguf)
    return LlamaTrial(LlamaCpp(), store, LIMITS)


@pytest.fixture
def installer(home: Path, trial: LlamaTrial, index: Index) -> Installer:
    door = Door(record=home / "egress.jsonl")
    trials: dict[str, Trial] = {"llama_cpp": trial, "transformers": lambda folder: Answered()}
    return Installer(Environments(home), door, pip_settings.read(), trials)


def wheels_of(index: Index, *, anyway: bool = True) -> Recipe:
    around = Around(index=f"{index.url}/whl/{{build}}", anyway=anyway)
    return replace(recipe("vulkan", around), bytes=2**20)


def ignore(step: Step) -> None:
    return


def left(installer: Installer) -> list[str]:
    return [one.name for one in installer.environments.folder.iterdir()]


def test_a_build_that_answers_is_trusted_and_used(
    installer: Installer, index: Index, trial: LlamaTrial, home: Path
) -> None:
    index.add("xllamacpp", "7.1", ANSWERS + A_GPU)
    steps: list[Step] = []
    found = installer.install(wheels_of(index), steps.append)
    assert (found.version, found.build, found.devices) == ("7.1", "vulkan", ("NVIDIA Test",))
    assert found.rate == 320.0  # of the 32 tokens that it was asked to read
    assert left(installer) == ["vulkan"]
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["make", "find", "download", "install", "try"]
    engine = LlamaCpp(built=lambda: installer.environments.get("vulkan"))
    assert engine.available() == "vulkan: xllamacpp 7.1 (vulkan)"
    launch: Launch = engine.launch(trial.require_model(), Size(512, 1), LIMITS, Speed())
    assert launch.python == str(found.interpreter)
    assert launch.placement["build"] == engine.available()
    went = [json.loads(line) for line in (home / "egress.jsonl").read_text().splitlines()]
    assert {row["purpose"] for row in went} == {"engine_packages"}
    assert {row["destination"] for row in went} == {index.url}
    assert all(path.startswith(("/whl/vulkan/", "/files/")) for path in index.asked)


@pytest.mark.heavy
def test_where_a_recipe_has_an_index_no_other_is_asked(
    installer: Installer,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(Index()) as other:
        other.add("xllamacpp", "9.9", NEVER_READY)  # newer: pip would take it
        links = tmp_path / "links"
        links.mkdir()
        (links / "xllamacpp-9.8-py3-none-any.whl").write_bytes(wheel("xllamacpp", "9.8", ""))
        config = tmp_path / "pip.conf"
        config.write_text(
            f"[global]\nextra-index-url = {other.url}/simple\nfind-links = {links}\n"
            f"[install]\ntarget = {tmp_path}/elsewhere\n"
        )
        monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        monkeypatch.setenv("PIP_Extra_Index_Url", f"{other.url}/simple")
        index.add("xllamacpp", "7.1", ANSWERS + NO_GPU)
        installer = replace(installer, pip=pip_settings.read())
        assert installer.pip.find_links  # the file was read
        assert installer.install(wheels_of(index), ignore).version == "7.1"
        assert other.asked == []
    assert not (tmp_path / "elsewhere").exists()


def test_who_stops_it_leaves_nothing(installer: Installer, index: Index) -> None:
    index.add("xllamacpp", "7.1", ANSWERS + NO_GPU)

    def stop(step: Step) -> None:
        if step.stage == "download":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installer.install(wheels_of(index), stop)
    assert left(installer) == []


@pytest.mark.heavy
def test_what_runs_in_the_former_one_is_ended_while_that_is_there(
    installer: Installer, index: Index
) -> None:
    index.add("transformers", "5", "")
    made = recipe("transformers", Around(own_index=True))
    made = replace(made, packages=("transformers",), without=(), bytes=2**20)
    former = installer.install(made, ignore)
    index.add("transformers", "6", "")
    there: list[bool] = []

    def vacate() -> None:
        there.append(former.interpreter.exists())
        known = installer.environments.get("transformers")
        there.append(known is not None and known.version == "5")

    assert installer.install(made, ignore, vacate).version == "6"
    assert there == [True, True]


@pytest.mark.parametrize(
    "place",
    ["mkdir", "write_bytes", "rename"],
)
def test_a_disk_that_fills_up_on_the_way_is_told_and_nothing_is_left(
    installer: Installer,
    index: Index,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_engine(*_: object) -> str:
        (made,) = installer.environments.folder.glob(".making-*")
        (made / "environment").mkdir(exist_ok=True)
        return "1"

    def breaks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Installer, "_fill", no_engine)
    trials: dict[str, Trial] = {"llama_cpp": lambda folder: Answered()}
    installer = replace(installer, trials=trials)
    (installer.environments.folder).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, place, breaks)
        # where its ledger cannot be written either, the door is the first to say so
        with pytest.raises((DiskFull, DepartureNotRecorded)) as caught:
            installer.install(wheels_of(index), ignore)
    assert re.search("NOIBO_HOME|Make room on its disk", caught.value.next_step)
    assert left(installer) == []


def test_an_environment_for_which_there_is_no_room_asks_for_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Error: Command failed\nOSError: [Errno 28] No space left on device: 'lib64'\n"
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nprintf "%s" "{said}"\nexit 1\n')
    program.chmod(0o755)
    pip = Pip(tmp_path / "environment", pip_settings.read())
    monkeypatch.setattr(settings, "python_executable", lambda: str(program))
    with pytest.raises(DiskFull) as caught:
        pip.make()
    assert "python3-venv" not in str(caught.value)
    assert "No space left" in caught.value.lines


def test_a_build_that_sees_gpus_is_tried_without_a_limit_of_memory(trial: LlamaTrial) -> None:
    model, seen = trial.require_model(), (Device("CUDA0", "NVIDIA Test", 2**33, 2**33),)
    with_gpu, without = (trial.launch(model, "/a/python", devices) for devices in (seen, ()))
    assert (with_gpu.placement["device"], without.placement["device"]) == ("gpu", "cpu")
    assert Worker(trial.engine, model, with_gpu, LIMITS).most_bytes is None
    assert Worker(trial.engine, model, without, LIMITS).most_bytes
    assert with_gpu.python == "/a/python"
    assert with_gpu.proof_tokens


def test_offline_nothing_is_asked(installer: Installer, index: Index) -> None:
    installer.door.offline = True
    with pytest.raises(EgressRefused, match="install an engine") as caught:
        installer.install(wheels_of(index), ignore)
    assert "offline = false" in caught.value.next_step
    assert index.asked == []


def test_a_disk_without_room_is_found_first(installer: Installer, index: Index) -> None:
    with pytest.raises(DiskFull):
        installer.install(replace(wheels_of(index), bytes=2**60), ignore)
    assert index.asked == []


def test_without_a_model_to_ask_nothing_can_be_trusted(tmp_path: Path) -> None:
    trial = LlamaTrial(LlamaCpp(), Store(tmp_path / "none"), LIMITS)
    with pytest.raises(ModelNotFound) as caught:
        trial.require_model()
    assert "noibo pull" in caught.value.next_step


def test_what_only_embeds_is_not_asked_for_an_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "models")
    for name, architecture, length in (("least", "modern-bert", 64), ("other", "llama", 4096)):
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(header(architecture).tensor("t", (length,)).bytes())
        stock(store, name, file)
    assert LlamaTrial(LlamaCpp(), store, LIMITS).require_model().name == "other:latest"


@pytest.mark.heavy
def test_a_build_that_dies_is_removed_with_its_last_words(
    installer: Installer, index: Index
) -> None:
    index.add("xllamacpp", "7.1", DIES)
    with pytest.raises(EngineUnusable, match=r"SIGILL|illegal instruction") as caught:
        installer.install(wheels_of(index), ignore)
    assert "compiled for another processor" in str(caught.value)
    assert left(installer) == []


@pytest.mark.heavy
def test_a_build_that_is_no_engine_is_removed(installer: Installer, index: Index) -> None:
    index.add("xllamacpp", "7.1", NEVER_READY)
    with pytest.raises(EngineUnusable) as caught:
        installer.install(wheels_of(index), ignore)
    assert "ZeroDivisionError" in str(caught.value)
    assert left(installer) == []


def spoil_digest(index: Index, file: str) -> None:
    index.promised[file] = "0" * 64


def spoil_bytes(index: Index, file: str) -> None:
    index.cut.add(file)


def spoil_name(index: Index, file: str) -> None:
    index.wheels["xllamacpp-7.1-cp27-none-any.whl"] = index.wheels.pop(file)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (spoil_digest, DigestMismatch),
        (spoil_bytes, DigestMismatch),
        (spoil_name, NotOffered),
    ],
)
def test_what_comes_damaged_is_not_installed(
    installer: Installer, index: Index, spoil: object, kind: type[NoiboError]
) -> None:
    file = index.add("xllamacpp", "7.1", ANSWERS + NO_GPU)
    spoil(index, file)  # type: ignore[operator]
    with pytest.raises(kind) as caught:
        installer.install(wheels_of(index), ignore)
    assert caught.value.lines
    assert left(installer) == []


@pytest.mark.heavy
def test_what_breaks_beside_a_torch_for_processors_is_taken_away(
    installer: Installer, index: Index
) -> None:
    index.add("torch", "2.13.0+cpu", "")
    index.add("torchvision", "1", "")
    index.add("transformers", "5", "", "Requires-Dist: torch\nRequires-Dist: torchvision\n")
    made = recipe("transformers", Around(own_index=True))
    made = replace(made, packages=("transformers",), bytes=2**20)
    assert "torchvision" in BESIDE_TORCH
    found = installer.install(made, ignore)
    names = {one.name for one in Path(found.folder).glob("lib/python*/site-packages/*")}
    assert {"torch", "transformers"} <= names
    assert "torchvision" not in names


@pytest.mark.heavy
def test_an_index_that_is_not_there_is_told(installer: Installer, index: Index) -> None:
    with pytest.raises(FetchError):
        installer.install(wheels_of(index), ignore)
    assert left(installer) == []
