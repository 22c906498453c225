from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from noibo.engines.process import FOLDER, sweep_folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def folder(temporary: Path, server: object) -> Path:
    made = temporary / f"{FOLDER}{server}-abc"
    made.mkdir()
    (made / "of a worker").write_text("")
    return made


def test_the_folders_of_a_server_that_lives_stay(temporary: Path) -> None:
    ours = folder(temporary, os.getpid())
    sweep_folders()
    assert ours.exists()


def test_the_folders_of_a_server_that_is_gone_go(temporary: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = folder(temporary, gone.pid)
    sweep_folders()
    assert not left.exists()


def test_a_server_with_the_number_of_a_former_one_did_not_make_its_folders(
    temporary: Path,
) -> None:
    left = folder(temporary, os.getpid())  # as in a container, where each server is the first
    before = psutil.Process().create_time() - 60
    os.utime(left, (before, before))
    sweep_folders()
    assert not left.exists()


@pytest.mark.parametrize("server", ["", "x", "-1", "1.5"])
def test_what_names_no_server_is_somebody_elses(temporary: Path, server: str) -> None:
    other = folder(temporary, server)
    sweep_folders()
    assert other.exists()
