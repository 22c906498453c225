from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from noibo.errors import NotFound, UsageError
from noibo.modelstore.importing.found_model import FoundModel, Place, Survey
from noibo.modelstore.importing.found_places import known_places, named_places, survey
from noibo.settings import other_programs
from tests.modelstore.other_programs import (
    HubRepo,
    OllamaTree,
    checkpoint,
    model,
    part,
    projector,
    sha256,
    write,
)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A home of somebody who has every program."""
    return tmp_path / "user"


def look(user: Path, **environ: str) -> Survey:
    return survey(known_places(other_programs({"HOME": str(user)} | environ)))


def look_in(*folders: Path) -> Survey:
    return survey(named_places(folders))


def names(found: Survey) -> list[str]:
    return [str(one.reference) for one in found.models]


def left_out(found: Survey) -> dict[str, str]:
    return {one.name: one.status for one in found.left_out}


def test_programs_are_looked_for_where_they_are_at_home(user: Path) -> None:
    OllamaTree(user / ".ollama/models").add("llama3:8b", model("ollama"))
    HubRepo(user / ".cache/huggingface/hub", "acme/tiny").snapshot({"t-Q4_0.gguf": model("hub")})
    write(user / ".lmstudio/models/acme/chat/chat-Q8_0.gguf", model("lm"))
    write(user / ".cache/lm-studio/models/acme/old/old-Q8_0.gguf", model("older"))
    write(user / ".cache/llama.cpp/some-Q4_0.gguf", model("llama"))
    write(user / ".local/share/Jan/data/llamacpp/models/jan-v1/model.gguf", model("jan"))
    write(user / ".local/share/nomic.ai/GPT4All/orca.gguf", model("orca"))
    assert {(one.place.program, str(one.reference)) for one in look(user).models} == {
        ("Ollama", "llama3:8b"),
        ("Hugging Face", "hf.co/acme/tiny:q4_0"),
        ("LM Studio", "hf.co/acme/chat:q8_0"),
        ("LM Studio", "hf.co/acme/old:q8_0"),
        ("llama.cpp", "some-q4_0:latest"),
        ("Jan", "jan-v1:latest"),
        ("GPT4All", "orca:latest"),
    }


def test_variables_say_where_else_to_look(user: Path) -> None:
    environ = {
        "OLLAMA_MODELS": f'"{user / "o"}"',
        "HF_HUB_CACHE": str(user / "cache"),
        "HF_HOME": "~/hf",
        "LLAMA_CACHE": str(user / "l"),
        "XDG_CACHE_HOME": str(user / "xdg"),
    }
    OllamaTree(user / "o").add("a:1", model("a"))
    for number, cache in enumerate(("cache", "hf/hub", "xdg/huggingface/hub", "l")):
        HubRepo(user / cache, f"acme/b{number}").snapshot({"b-Q4_0.gguf": model(cache)})
    write(user / "xdg/llama.cpp/c.gguf", model("c"))
    wanted = ["a:1", *(f"hf.co/acme/b{number}:q4_0" for number in range(4)), "c:latest"]
    assert sorted(names(look(user, **environ))) == sorted(wanted)


def test_nobody_has_anything(user: Path) -> None:
    assert look(user) == Survey((), (), ())


def test_a_folder_with_two_names_is_looked_at_once(user: Path) -> None:
    OllamaTree(user / ".ollama/models").add("a:1", model())
    (user / "link").symlink_to(user / ".ollama/models")
    found = look(user, OLLAMA_MODELS=str(user / "link"))
    assert names(found) == ["a:1"]
    assert len(look_in(user / "link", user / "link", user / ".ollama/models").models) == 1


def test_lm_studio_says_where_its_models_are(user: Path, tmp_path: Path) -> None:
    home, disk = tmp_path / "elsewhere", tmp_path / "disk"
    write(user / ".lmstudio-home-pointer", f"{home}\n".encode())
    write(home / "settings.json", json.dumps({"downloadsFolder": str(disk), "x": 1}).encode())
    write(disk / "acme/chat-GGUF/chat-Q4_K_M.gguf", model())
    write(disk / "acme/chat-GGUF/mmproj-chat-f16.gguf", projector())
    (here,) = look(user).models
    assert (str(here.reference), here.origin) == (
        "hf.co/acme/chat-gguf:q4_k_m",
        "hf.co/acme/chat-GGUF:Q4_K_M",
    )
    assert [file.role for file in here.files] == ["model", "projector"]


@pytest.mark.parametrize("settings", [b"", b"{", b"[]", b'{"downloadsFolder": 5}', b"\xff" * 10])
def test_settings_of_lm_studio_that_say_nothing_do_no_harm(user: Path, settings: bytes) -> None:
    write(user / ".lmstudio/settings.json", settings)
    write(user / ".lmstudio/models/acme/chat/chat-Q8_0.gguf", model())
    assert names(look(user)) == ["hf.co/acme/chat:q8_0"]


def test_settings_behind_a_pipe_or_a_device_are_not_waited_for(user: Path) -> None:
    write(user / ".lmstudio/models/acme/chat/chat-Q8_0.gguf", model())
    os.mkfifo(user / ".lmstudio/settings.json")
    (user / ".lmstudio-home-pointer").symlink_to("/dev/zero")
    assert names(look(user)) == ["hf.co/acme/chat:q8_0"]


def test_downloads_of_lm_studio_that_have_not_ended_are_said(user: Path) -> None:
    folder = user / ".lmstudio/models/acme/chat"
    write(folder / "downloading_chat-Q4_0.gguf.part", b"some")
    for number in (1, 2):
        write(folder / f"big-Q8_0-0000{number}-of-00003.gguf", part(number, 3))
    found = look(user)
    assert names(found) == []
    assert set(left_out(found).values()) == {"incomplete"}
    assert len(found.left_out) == 2


def test_what_was_put_into_lm_studio_by_hand_has_no_repository(user: Path) -> None:
    write(user / ".lmstudio/models/imported-models/uncategorized/mine-Q4_0.gguf", model())
    (here,) = look(user).models
    assert here.origin == ""


def test_llama_cpp_says_what_its_files_are(user: Path) -> None:
    cache = user / ".cache/llama.cpp"
    first, second = part(1, 2), part(2, 2)
    said = {
        "ggufFile": {"rfilename": "Q4_0/big-00001-of-00002.gguf"},
        "mmprojFile": {"rfilename": "mmproj-f16.gguf"},
    }
    write(cache / "manifest=acme=Big-GGUF=Q4_0.json", json.dumps(said).encode())
    write(cache / "acme_Big-GGUF_Q4_0_big-00001-of-00002.gguf", first)
    write(cache / "acme_Big-GGUF_Q4_0_big-00001-of-00002.gguf.etag", f'"{sha256(first)}"'.encode())
    write(cache / "acme_Big-GGUF_Q4_0_big-00002-of-00002.gguf", second)
    write(cache / "acme_Big-GGUF_mmproj-f16.gguf", projector())
    write(cache / "loose-Q8_0.gguf", model())
    write(cache / "late-Q8_0.gguf.downloadInProgress", b"some")
    for number, bad in enumerate(
        (b"{", b'{"ggufFile": 1}', b'{"ggufFile": {"rfilename": "../x"}}')
    ):
        write(cache / f"manifest=a=b=bad{number}.json", bad)
    found = look(user)
    assert names(found) == ["hf.co/acme/big-gguf:q4_0", "loose-q8_0:latest"]
    big = found.models[0]
    assert big.origin == "hf.co/acme/Big-GGUF:Q4_0"
    assert [file.role for file in big.files] == ["model", "part", "projector"]
    assert big.files[0].sha256 == sha256(first)
    assert left_out(found)["late-Q8_0.gguf.downloadInProgress"] == "incomplete"


def test_a_folder_is_looked_through(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write(folder / "My Model-Q4_K_M.gguf", model("a"))
    write(folder / "deep/deeper/big-00001-of-00002.gguf", part(1, 2))
    write(folder / "deep/deeper/big-00002-of-00002.gguf", part(2, 2))
    for name, data in checkpoint().items():
        write(folder / "Chat" / name, data)
    write(folder / ".hidden/x.gguf", model("hidden"))
    write(folder / "notes.txt", b"text")
    assert names(look_in(folder)) == ["my-model-q4_k_m:latest", "chat:latest", "big:latest"]
    (chat,) = (one for one in look_in(folder).models if one.name == "Chat")
    assert {file.name for file in chat.files} == set(checkpoint())


def test_a_folder_is_what_it_looks_like(tmp_path: Path) -> None:
    OllamaTree(tmp_path / "a/models").add("x:1", model())
    HubRepo(tmp_path / "b/hub", "acme/tiny").snapshot({"t-Q4_0.gguf": model()})
    places = named_places([tmp_path / "a", tmp_path / "b", tmp_path])
    assert [(one.program, one.path) for one in places] == [
        ("Ollama", tmp_path / "a/models"),
        ("Hugging Face", tmp_path / "b/hub"),
        ("a folder", tmp_path),
    ]


def test_what_is_no_folder_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        named_places([tmp_path / "nothing"])
    file = write(tmp_path / "x.gguf", model())
    with pytest.raises(UsageError) as caught:
        named_places([file])
    assert f"noibo add {file}" in caught.value.next_step


def test_a_projector_belongs_to_the_one_model_or_to_the_one_of_its_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one / "gemma-Q4_0.gguf", model("a"))
    write(one / "gemma-Q8_0.gguf", model("b"))
    write(one / "mmproj-f16.gguf", projector())
    write(two / "gemma-Q4_0.gguf", model("c"))
    write(two / "llama-Q4_0.gguf", model("d"))
    write(two / "mmproj-gemma-f16.gguf", projector())
    roles = {
        one.path.relative_to(tmp_path).as_posix(): [file.role for file in one.files]
        for one in look_in(tmp_path).models
    }
    assert roles == {
        "one/gemma-Q4_0.gguf": ["model", "projector"],
        "one/gemma-Q8_0.gguf": ["model", "projector"],
        "two/gemma-Q4_0.gguf": ["model", "projector"],
        "two/llama-Q4_0.gguf": ["model"],
    }


def test_files_of_one_name_get_their_folders_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / "chat.gguf", model(folder))
        write(tmp_path / folder / "sub" / "model.gguf", model(f"{folder} sub"))
    assert sorted(names(look_in(tmp_path))) == [
        "a-sub:latest",
        "b-chat:latest",
        "b-sub:latest",
        "chat:latest",
    ]


def test_a_link_to_a_model_of_another_program_is_no_second_model(user: Path) -> None:
    tree = OllamaTree(user / ".ollama/models")
    tree.add("llama3:8b", model())
    linked = user / ".lmstudio/models/ollama/llama3/llama3-Q4_0.gguf"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(tree.path / "blobs" / f"sha256-{sha256(model())}")
    found = look(user)
    assert names(found) == ["llama3:8b"]
    assert set(left_out(found).values()) == {"same file"}


def test_folders_behind_links_are_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "outside/x.gguf", model())
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "root").symlink_to("/")
    assert look_in(folder).models == ()


def test_what_is_no_ordinary_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "zero.gguf").symlink_to("/dev/zero")
    (tmp_path / "terminal.gguf").symlink_to("/dev/tty")
    (tmp_path / "gone.gguf").symlink_to("nowhere")
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "README.md")
    write(tmp_path / "good.gguf", model())
    assert names(look_in(tmp_path)) == ["good:latest"]


def test_a_deep_folder_is_not_followed_to_its_end(tmp_path: Path) -> None:
    write(tmp_path.joinpath(*["x"] * 50) / "x.gguf", model())
    write(tmp_path.joinpath(*["x"] * 8) / "y.gguf", model())
    assert names(look_in(tmp_path)) == ["y:latest"]


def test_a_crowded_folder_is_looked_at_in_part_and_that_is_said(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path / "crowd" / f"m{number}.gguf", model(str(number)))
    found = survey(named_places([tmp_path / "crowd"]), most=50)
    assert len(found.models) == 50
    assert "more than 50 names" in found.left_out[0].why


def test_a_name_that_cannot_be_written_down_is_left_out(tmp_path: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")), model())
    write(tmp_path / "\x1b[2J\n.gguf", model())
    write(tmp_path / "….gguf", model())
    found = look_in(tmp_path)
    assert names(found) == ["2j:latest"]
    assert list(left_out(found).values()) == ["left out"] * 2


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root sees everything: be somebody else for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_is_closed_is_said_with_the_way_in() -> None:
    top = Path(tempfile.mkdtemp())  # where nobody may look
    try:
        top.chmod(0o755)
        tree = OllamaTree(top / "ollama/models")
        tree.add("a:1", model())
        write(top / "models/closed/x.gguf", model("x"))
        write(top / "models/y.gguf", model("y"))
        for folder in (top / "ollama", top / "models/closed"):
            if not os.geteuid():
                shutil.chown(folder, group="daemon")
            folder.chmod(0o700)
        with as_nobody():
            places = (Place("Ollama", tree.path), Place("a folder", top / "models", named=True))
            found = survey(places)
        assert [one.name for one in found.models if isinstance(one, FoundModel)] == ["y.gguf"]
        assert [one.status for one in found.left_out] == ["no access", "no access"]
        assert str(top / "ollama") in found.left_out[0].why
        assert "usermod -aG" in found.left_out[0].why
        assert f"chmod g+rx {top / 'ollama'}" in found.left_out[0].why
    finally:
        for folder in (top / "ollama", top / "models/closed"):
            folder.chmod(0o700)
        shutil.rmtree(top)
