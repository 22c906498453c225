from __future__ import annotations

import os

import pytest

from noibo.engines.environments.handed import handed, plain_name
from noibo.modelstore.index.pip_settings import PYPI, PipSettings

OWN = "https://user:secret@wheels.example/whl/cu128"
SAID = PipSettings(
    indexes=("https://mirror.example/simple", PYPI),
    find_links=("/links", "https://more.example"),
    trusted_hosts=("mirror.example",),
    proxy="http://proxy.example:3128",
    use_proxy_variables=False,
    ca_bundle="/etc/ours.pem",
    timeout_s=7.5,
    retries=2,
)


def given(index: str = "", said: PipSettings = SAID) -> dict[str, str]:
    return {name: value for name, value in handed(said, index).items() if value}


def test_the_users_places_are_asked_where_a_recipe_names_none() -> None:
    found = given()
    assert found["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert found["PIP_EXTRA_INDEX_URL"] == PYPI
    assert found["PIP_FIND_LINKS"] == "/links https://more.example"


def test_a_recipes_own_index_is_the_only_one() -> None:
    found = given(OWN)
    assert found["PIP_INDEX_URL"] == OWN
    assert found.keys().isdisjoint({"PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"})


@pytest.mark.parametrize("index", ["", OWN])
def test_the_way_there_is_the_users_and_the_target_is_not(index: str) -> None:
    found = given(index)
    assert found["PIP_CONFIG_FILE"] == os.devnull  # no file's `target` or `user` counts
    assert found["PIP_PROXY"] == "http://proxy.example:3128"
    assert "PIP_NO_PROXY_ENV" not in found  # which a proxy that is named goes before anyway
    assert (found["PIP_CERT"], found["PIP_TRUSTED_HOST"]) == ("/etc/ours.pem", "mirror.example")
    assert (found["PIP_TIMEOUT"], found["PIP_RETRIES"]) == ("7.5", "2")


def test_no_index_stays_none() -> None:
    found = given(said=PipSettings(indexes=(), find_links=("/links",)))
    assert found["PIP_NO_INDEX"] == "1"
    assert "PIP_INDEX_URL" not in found


@pytest.mark.parametrize(
    "name", ["PIP_EXTRA_INDEX_URL", "PIP_Extra_Index_Url", "PIP_extra-index-url"]
)
def test_a_variable_counts_however_it_is_written(name: str) -> None:
    assert plain_name(name) in handed(SAID, OWN)
    assert plain_name("pip_extra_index_url") not in handed(SAID, OWN)  # pip does not read that one
