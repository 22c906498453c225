"""What exists is documented, and what is documented exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from noibo.cli.main import COMMANDS
from noibo.gateway.app import create_app
from noibo.settings import keys

ROOT = Path(__file__).parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"^## noibo {name}\b", read("docs/commands.md"), re.MULTILINE)
    assert name in read("README.md")


def test_every_setting_is_documented() -> None:
    text = read("docs/configuration.md")
    for key in keys():
        assert f"| `{key.name}` | `{key.variable}` |" in text
        assert key.doc in text


def test_every_route_is_documented() -> None:
    text = read("docs/api.md")
    for path, methods in create_app(None).openapi()["paths"].items():  # type: ignore[arg-type]
        for method in methods:
            assert re.search(rf"`[^`]*{method.upper()} {re.escape(path.split('{')[0])}", text), path


def test_every_dependency_has_its_sentence() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    text = read("docs/dependencies.md")
    for name in (Requirement(line).name for line in wanted):
        assert re.search(rf"\b{name}\b", text, re.IGNORECASE), name


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} → {target}"


def test_the_readmes_tree_names_what_is_there() -> None:
    tree = read("README.md").split("## The tree")[1]
    for name in re.findall(r"[├└]── (\S+)", tree):
        assert (ROOT / "src" / "noibo" / name).exists(), name
    for part in (ROOT / "src" / "noibo").iterdir():
        if not part.name.startswith("_") and part.name not in {"py.typed", "version.py"}:
            assert part.name in tree, part.name
