from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from noibo import settings
from noibo.errors import FetchError
from noibo.modelstore.index import pip_settings
from noibo.modelstore.index.pip_settings import PYPI, PipSettings, read
from tests.modelstore.conftest import MACHINE


@pytest.fixture
def conf(bare_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that PIP_CONFIG_FILE names."""
    path = tmp_path / "pip with a space.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    return path


@pytest.fixture(scope="module")
def python_without_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real venv that has no pip, as uv makes them."""
    folder = tmp_path_factory.mktemp("no-pip")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture
def no_pip(python_without_pip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """noibo runs where there is no pip."""
    monkeypatch.setattr(settings, "python_executable", lambda: str(python_without_pip))


@pytest.fixture(params=["with pip", "without pip"])
def either(request: pytest.FixtureRequest) -> None:
    """The same answers must come whether pip is there or not."""
    if request.param == "without pip":
        request.getfixturevalue("no_pip")


def test_pip_as_it_comes_looks_at_pypi(either: None) -> None:
    assert read() == PipSettings()
    assert read().indexes == (PYPI,)


def test_variables_are_read(either: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PIP_INDEX_URL": "https://a.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://b.example/simple file:///nowhere",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_TRUSTED_HOST": "a.example b.example:8443",
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_CERT": "/ca.pem",
        "PIP_CLIENT_CERT": "/me.pem",
        "PIP_DEFAULT_TIMEOUT": "42",
        "PIP_RETRIES": "7",
    }.items():
        monkeypatch.setenv(name, value)
    assert read() == PipSettings(
        indexes=("https://a.example/simple", "https://b.example/simple", "file:///nowhere"),
        find_links=("/wheels",),
        trusted_hosts=("a.example", "b.example:8443"),
        proxy="http://proxy.example:3128",
        use_proxy_variables=False,
        ca_bundle="/ca.pem",
        client_cert="/me.pem",
        timeout_s=42.0,
        retries=7,
    )


def test_sections_and_variables_override_one_another_as_in_pip(
    either: None, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf.write_text(
        "[global]\nindex-url = https://global.example\ntimeout = 1\nretries = 1\ncert = /g.pem\n"
        "[install]\nindex_url = https://install.example\ntimeout = 2\nretries = 2\n"
        "[download]\ntimeout = 3\nretries = 3\n"
        "[freeze]\ntimeout = 9\n"
    )
    monkeypatch.setenv("PIP_RETRIES", "4")
    monkeypatch.setenv("PIP_CERT", "")  # pip passes over what is empty
    found = read()
    assert found.indexes == ("https://install.example",)
    assert (found.timeout_s, found.retries, found.ca_bundle) == (3.0, 4, "/g.pem")


def test_many_lines_are_many_values(either: None, conf: Path) -> None:
    conf.write_text(
        "[global]\nextra-index-url =\n    https://a.example/simple\n    https://b.example/simple\n"
        "no-index = false\n"
    )
    assert read().indexes == (PYPI, "https://a.example/simple", "https://b.example/simple")


def test_the_users_own_file_counts_unless_another_is_named(
    either: None, bare_pip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        return
    monkeypatch.setenv("XDG_CONFIG_HOME", str(bare_pip / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    own, shared = bare_pip / ".config/pip/pip.conf", tmp_path / "xdg/pip/pip.conf"
    for path, timeout in ((own, 11), (shared, 12)):
        path.parent.mkdir(parents=True)
        path.write_text(f"[global]\ntimeout = {timeout}\n")
    monkeypatch.delenv("PIP_CONFIG_FILE")
    assert read().timeout_s == 11
    named = tmp_path / "named.conf"
    named.write_text("[global]\nretries = 3\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    assert (read().timeout_s, read().retries) == (12, 3)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert read() == PipSettings()


def test_no_index_leaves_only_find_links(either: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    assert read().indexes == ()
    assert read().find_links == ("/wheels",)


def test_a_quiet_pip_still_answers(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf.write_text("[global]\ntimeout = 5\n")
    monkeypatch.setenv("PIP_QUIET", "3")
    assert read().timeout_s == 5


def test_a_bundle_for_requests_wins_over_cert_as_in_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/pip.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl.pem")
    assert read().ca_bundle == "/curl.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    assert read().ca_bundle == "/requests.pem"


def test_variables_of_uv_are_not_for_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "https://old.example/simple")
    assert read().indexes == (PYPI,)


def test_without_pip_the_variables_of_uv_stand_in(
    no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "https://old.example/simple")
    assert read().indexes == ("https://old.example/simple",)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "corp=https://uv.example/simple?a=b")
    monkeypatch.setenv("UV_INDEX", "https://more.example/simple")
    assert read().indexes == ("https://uv.example/simple?a=b", "https://more.example/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    assert read().indexes[0] == "https://pip.example/simple"


def test_a_file_that_cannot_be_read_is_named_without_its_content(either: None, conf: Path) -> None:
    conf.write_text("index-url = https://user:secret@a.example\n")
    with pytest.raises(FetchError) as caught:
        read()
    assert "pip config debug" in caught.value.next_step
    assert "secret" not in str(caught.value)


def test_a_number_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TIMEOUT", "soon")
    with pytest.raises(FetchError):  # pip refuses too
        read()


def test_without_pip_a_number_that_is_none_is_named(
    no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TIMEOUT", "soon")
    with pytest.raises(FetchError, match="timeout is 'soon'"):
        read()


def test_passwords_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@a.example/simple")
    monkeypatch.setenv("PIP_PROXY", "http://user:secret@proxy.example")
    monkeypatch.setenv("PIP_FIND_LINKS", "https://user:secret@b.example")
    assert "secret" not in repr(read())


def test_a_folder_named_pip_where_one_stands_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap" / "pip"
    trap.mkdir(parents=True)
    (trap / "__main__.py").write_text("open('trapped', 'w')")
    (trap / "__init__.py").touch()
    monkeypatch.chdir(trap.parent)
    assert read() == PipSettings()
    assert not (trap.parent / "trapped").exists()


@pytest.mark.heavy
def test_the_newest_pip_is_understood_too(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `config list` and `config debug` are written anew; fetched as the user's pip is set."""
    folder = tmp_path / "new-pip"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "pip>=25"],
        check=True,
        env=MACHINE,
    )
    monkeypatch.setattr(settings, "python_executable", lambda: str(python))
    (folder / "pip.conf").write_text("[global]\ntimeout = 1\nretries = 1\n")
    conf.write_text("[global]\ntimeout = 2\n")
    assert pip_settings._files_pip_reads(settings.full_environment())
    assert (read().timeout_s, read().retries) == (2.0, 1)
    shutil.rmtree(folder)
