from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from noibo.engines.environments.choice import Choice, build_name
from noibo.engines.environments.disk import disk_faults, require_room
from noibo.engines.environments.environment import (
    PYTHON,
    RECORD,
    Environment,
    Environments,
    interpreter_of,
)
from noibo.engines.supervision.builds import Builds
from noibo.errors import DiskFull, EngineError, NotFound, StoreError, UsageError


def record(name: str, *, devices: tuple[str, ...] = (), **more: object) -> Environment:
    said = {"version": "1", "build": "b", "python": PYTHON, "trusted_at": 5.0, **more}
    return Environment(name, "llama_cpp", "xllamacpp", devices=devices, **said)  # type: ignore[arg-type]


def put(environments: Environments, found: Environment, *, content: str = "x") -> Environment:
    with environments.making(found.name) as room:
        made = room / "environment"
        interpreter_of(made).parent.mkdir(parents=True)
        interpreter_of(made).write_text(content)
        return environments.keep(made, found)


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path)


def test_what_was_kept_is_there_with_what_is_known_of_it(environments: Environments) -> None:
    kept = put(environments, record("native", rate=40.5), content="12345")
    assert environments.all() == [kept]
    assert kept.rate == 40.5
    assert kept.bytes == 5
    assert kept.interpreter.read_text() == "12345"
    assert str(kept) == "native: xllamacpp 1 (b)"


def test_a_new_one_takes_the_place_of_the_former(environments: Environments) -> None:
    put(environments, record("native"), content="old")
    put(environments, record("native", version="2"), content="new")
    (found,) = environments.all()
    assert found.version == "2"
    assert found.interpreter.read_text() == "new"
    assert [one.name for one in environments.folder.iterdir()] == ["native"]


def test_one_that_fails_leaves_the_former_as_it_was(environments: Environments) -> None:
    put(environments, record("native"), content="old")
    with pytest.raises(KeyboardInterrupt), environments.making("native") as room:
        (room / "half").write_text("…")
        raise KeyboardInterrupt
    assert [one.name for one in environments.folder.iterdir()] == ["native"]
    assert environments.all()[0].interpreter.read_text() == "old"


MAKES = """
import sys
from pathlib import Path
from noibo.engines.environments.environment import Environments
with Environments(Path(sys.argv[1])).making("native") as room:
    (room / "half").write_text("x")
    print(room, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_swept_away(environments: Environments) -> None:
    home = str(environments.folder.parent)
    pipe, command = subprocess.PIPE, [sys.executable, "-c", MAKES, home]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as maker:
        assert maker.stdout is not None
        left = Path(maker.stdout.readline().strip())
        with environments.making("vulkan"):
            assert (left / "half").exists()  # its maker lives
        maker.kill()
    with environments.making("vulkan"):
        assert not left.exists()


@pytest.mark.parametrize("next_one", ["native", "vulkan"])
def test_whose_number_a_process_has_again_says_nothing(
    environments: Environments, next_one: str
) -> None:
    with environments.making("native") as room:  # by this very process, as in a container
        left = room.name
    (environments.folder / left).mkdir()
    with environments.making(next_one):
        assert not (environments.folder / left).exists()


def test_one_name_is_for_one_process_at_a_time(environments: Environments, tmp_path: Path) -> None:
    other = Environments(tmp_path)
    put(environments, record("native"))
    with environments.making("native"):
        with pytest.raises(EngineError, match="Another process"), other.making("native"):
            pass
        with pytest.raises(EngineError, match="Another process"):
            other.remove("native")
        put(other, record("cuda"))  # another name is free
    assert [one.name for one in other.all()] == ["cuda", "native"]
    other.remove("native")


def test_what_was_set_aside_for_one_that_never_came_is_put_back(environments: Environments) -> None:
    put(environments, record("native"), content="old")
    aside = environments.folder / ".making-old-native-abc"
    (environments.folder / "native").rename(aside)
    with environments.making("vulkan"):
        assert [one.name for one in environments.all()] == ["native"]
        assert not aside.exists()


def test_what_has_a_follower_is_not_put_back(environments: Environments) -> None:
    put(environments, record("native", version="2"), content="new")
    aside = environments.folder / ".making-old-native-abc"
    (aside / "bin").mkdir(parents=True)
    with environments.making("vulkan"):
        (found,) = environments.all()
        assert found.interpreter.read_text() == "new"
        assert not aside.exists()


def test_what_was_to_be_removed_is_not_put_back(environments: Environments) -> None:
    put(environments, record("native"))
    aside = environments.folder / ".making-gone-native-abc"
    (environments.folder / "native").rename(aside)  # half of it is deleted by now
    with environments.making("vulkan"):
        assert environments.all() == []
        assert not aside.exists()


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"name": "native"}', b"\xff" * 9])
def test_a_folder_without_a_record_that_can_be_read_is_not_trusted(
    environments: Environments, said: bytes
) -> None:
    folder = environments.folder / "native"
    folder.mkdir(parents=True)
    (folder / RECORD).write_bytes(said)
    assert environments.all() == []
    assert environments.remove("native") is None  # and can be got rid of
    assert not folder.exists()


def test_to_remove_what_is_not_there_says_so(environments: Environments) -> None:
    with pytest.raises(NotFound, match="vllm is not installed"):
        environments.remove("vllm")
    with pytest.raises(UsageError):
        environments.remove("../../etc")


def test_a_build_that_sees_a_gpu_comes_before_one_for_the_processor(
    environments: Environments, tmp_path: Path
) -> None:
    choose = Choice(environments, Builds(tmp_path))
    assert choose() is None
    put(environments, record("native"))
    put(environments, record("vulkan"))  # it answered, but saw no GPU
    assert choose() == environments.get("native")
    put(environments, record("cuda", devices=("NVIDIA RTX 3060",)))
    assert choose() == environments.get("cuda")


def test_a_build_that_dies_in_use_gives_way_to_the_next(
    environments: Environments, tmp_path: Path
) -> None:
    choose = Choice(environments, Builds(tmp_path))
    bad = put(environments, record("native"))
    rows = {f"llama_cpp {build_name(bad)}": "seen"}
    (tmp_path / "builds.json").write_bytes(msgspec.json.encode(rows))
    assert choose() is None
    put(environments, record("native", trusted_at=6.0))  # installed anew: another build
    assert choose() is not None


def test_one_made_by_another_python_is_not_used(environments: Environments, tmp_path: Path) -> None:
    put(environments, record("native", python="3.9"))
    assert Choice(environments, Builds(tmp_path))() is None
    assert len(environments.all()) == 1  # it is shown, and can be removed


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, DiskFull, "on a bigger disk"),
        (errno.EACCES, StoreError, "a folder of yours"),
        (errno.EROFS, StoreError, "a folder of yours"),
    ],
)
def test_a_disk_that_is_full_or_closed_is_told_with_what_helps_here(
    tmp_path: Path, number: int, kind: type[StoreError], advice: str
) -> None:
    with pytest.raises(StoreError) as caught, disk_faults(tmp_path / "not" / "made", 5):
        raise OSError(number, "said by the system", str(tmp_path))
    assert type(caught.value) is kind
    assert "NOIBO_HOME" in caught.value.next_step
    assert advice in caught.value.next_step
    assert "store.path" not in str(caught.value)  # that is where models are


def test_a_disk_without_room_is_told_with_what_helps_here(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as caught:
        require_room(tmp_path, 2**60)
    assert "NOIBO_HOME" in caught.value.next_step


def test_what_is_no_fault_of_a_disk_passes(tmp_path: Path) -> None:
    for error in (BrokenPipeError(), EngineError("another"), DiskFull("told already")):
        with pytest.raises(type(error)) as caught, disk_faults(tmp_path):
            raise error
        assert caught.value is error
        assert not getattr(error, "next_step", "")


def test_a_home_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Environments(tmp_path).remove("native")


def test_to_remove_one_takes_no_room(
    environments: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(environments, record("native"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.mkdir", full)  # `exist_ok` looks whether it is there
    environments.remove("native")
    assert list(environments.folder.iterdir()) == []
