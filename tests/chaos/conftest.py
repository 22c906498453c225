"""How long the chaos goes on: `pytest tests/chaos --chaos-kills 2000 --chaos-seed 7`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-kills", type=int, default=120, help="kills of workers and server")
    group.addoption("--chaos-seed", type=int, default=4, help="of all that is random in it")


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How many kills. The options are there only where pytest was started on this folder."""
    found: int = pytestconfig.getoption("--chaos-kills", default=120)
    return found


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    found: int = pytestconfig.getoption("--chaos-seed", default=4)
    return found
