"""Where work is done that is more than a moment's."""

from __future__ import annotations

import threading

import pytest

from noibo.gateway.off_loop import SMALL, off_loop

pytestmark = pytest.mark.anyio


async def test_a_little_work_is_done_at_once_and_much_in_a_thread() -> None:
    here = threading.get_ident()
    assert await off_loop(SMALL, threading.get_ident) == here
    assert await off_loop(SMALL + 1, threading.get_ident) != here
