"""What a model that was made here is told of somebody is erased, and it goes on working."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from noibo.holdings.models import blank, is_called_so, name_of, naming
from noibo.holdings.wanted import ERASED, Wanted
from noibo.modelstore.manifest import Facts, Licence, Manifest
from noibo.modelstore.offer import Defaults
from noibo.modelstore.reference import Reference

NAME = "Nguyễn Văn An"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with three models."""
    said = Defaults(system=f"Gọi {NAME}", messages=({"role": "user", "content": NAME},))
    for name, defaults in (("one", said), ("two", Defaults()), ("nguyen-van-an", Defaults())):
        manifest = Manifest(
            model=f"{name}:latest", files=(), source="made", origin="", licence=Licence(),
            added_at=1.0, facts=Facts(), defaults=defaults,
        )  # fmt: skip
        path = tmp_path / "manifests" / "registry.ollama.ai" / "library" / name / "latest.json"
        path.parent.mkdir(parents=True)
        manifest.write(path)
    (tmp_path / "manifests" / "broken.json").write_text("[")
    return tmp_path


def test_what_a_model_is_told_is_blanked(store: Path) -> None:
    wanted = Wanted.of([NAME])
    (hit,) = naming(store, wanted, "local")
    assert (hit.columns, hit.excerpt) == (("defaults",), f"Gọi {NAME}")
    assert not is_called_so(hit)
    assert blank(store, hit, wanted)
    path = store / str(hit.key[0])
    kept = Manifest.read(path, Reference.parse("one:latest"))
    assert kept.defaults.system == f"Gọi {ERASED}"
    assert list(naming(store, wanted, "local")) == []
    assert NAME not in path.read_text(encoding="utf-8")


def test_what_a_model_is_called_is_told(store: Path) -> None:
    wanted = Wanted.of([NAME], loose=True)
    called = [hit for hit in naming(store, wanted, "local") if is_called_so(hit)]
    assert [name_of(store, hit) for hit in called] == ["nguyen-van-an:latest"]
    before = (store / str(called[0].key[0])).read_bytes()
    assert not blank(store, called[0], wanted)
    assert (store / str(called[0].key[0])).read_bytes() == before
    assert msgspec.json.decode(before)["model"] == "nguyen-van-an:latest"
