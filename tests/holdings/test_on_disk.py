"""What is typed and saved here is found and erased, with what it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noibo.holdings.on_disk import blank, kept, naming
from noibo.holdings.wanted import Wanted

NAME = "Nguyễn Văn An"


@pytest.fixture
def saved(home: Path) -> Path:
    """A home with conversations that are called after somebody, or were half written."""
    folder = home / "conversations"
    folder.mkdir(parents=True)
    talk = json.dumps({"turns": [{"role": "user", "content": f"gửi {NAME}"}]})
    (folder / f"{NAME}.json").write_text(talk, encoding="utf-8")
    (folder / f"{NAME.upper()}.json").write_text("{}")
    (folder / "erased.json").write_text("{}")
    (folder / "talk.tmp").write_text(talk, encoding="utf-8")
    (folder / "erasing.new").write_text(talk, encoding="utf-8")
    (home / "history").write_text(f"\n# today\n+hỏi {NAME}\n", encoding="utf-8")
    return home


def test_what_is_called_after_somebody_is_erased_with_its_name(saved: Path) -> None:
    wanted = Wanted.of([NAME])
    found = naming(saved, wanted)
    assert len(found) == 5
    for one in found:
        blank(one.path, wanted)
    assert naming(saved, wanted) == []
    assert {path.name for path in kept(saved)} == {
        *("erased.json", "erased 2.json", "erased 3.json", "talk.tmp", "history"),
    }
    assert all("Nguy" not in path.read_text(encoding="utf-8") for path in kept(saved))
