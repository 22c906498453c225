from __future__ import annotations

import pytest

from noibo.errors import LicenceRefused
from noibo.modelstore.catalog import licences
from noibo.modelstore.catalog.licences import classify, require_allowed

MIT = """MIT License

Copyright (c) 2025 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files, to deal in the Software
without restriction. THE SOFTWARE IS PROVIDED "AS IS".
"""


@pytest.mark.parametrize(
    ("said", "licence", "kind"),
    [
        ("apache-2.0", "apache-2.0", "permissive"),
        ("Apache-2.0", "apache-2.0", "permissive"),
        ("Apache License, Version 2.0", "apache-2.0", "permissive"),
        ("MIT License", "mit", "permissive"),
        ("BSD-3-Clause", "bsd-3-clause", "permissive"),
        ("afl-3.0", "afl-3.0", "permissive"),
        ("cc-by-4.0", "cc-by-4.0", "permissive"),
        ("AGPL-3.0-or-later", "agpl-3.0", "copyleft"),
        ("GNU General Public License v3.0", "gpl-3.0", "copyleft"),
        ("cc-by-sa-4.0", "cc-by-sa-4.0", "copyleft"),
        ("llama2", "llama2", "llama"),
        ("llama3.1", "llama3.1", "llama"),
        ("Llama 3.3 Community License Agreement", "llama3.3", "llama"),
        ("gemma", "gemma", "gemma"),
        ("Gemma Terms of Use", "gemma", "gemma"),
        ("openrail", "openrail", "rail"),
        ("bigscience-bloom-rail-1.0", "bigscience-bloom-rail-1.0", "rail"),
        ("creativeml-openrail-m", "creativeml-openrail-m", "rail"),
        ("deepseek", "deepseek", "rail"),
        ("qwen", "qwen", "community"),
        ("tongyi-qianwen", "tongyi-qianwen", "community"),
        ("qwen-research", "qwen-research", "research"),
        ("mrl", "mrl", "research"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", "non-commercial"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0", "non-commercial"),
        ("other", "other", "other"),
        ("LicenseRef-Acme", "licenseref-acme", "other"),
        (None, "unknown", "unknown"),
        ("", "unknown", "unknown"),
        (" \n ", "unknown", "unknown"),
        ("NOASSERTION", "unknown", "unknown"),
    ],
)
def test_an_id_or_a_title_is_recognised(said: str | None, licence: str, kind: str) -> None:
    found = classify(said)
    assert (found.id, found.kind) == (licence, kind)


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        (
            "Apache License\n Version 2.0, January 2004\n http://www.apache.org/licenses/",
            "apache-2.0",
        ),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n", "gpl-3.0"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007\n", "agpl-3.0"),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT\nRelease Date: April 18, 2024\n", "llama3"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date:\n", "llama3.1"),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT\nLlama 2 Version Release Date:\n", "llama2"),
        ("Gemma Terms of Use\n\nLast modified: April 1, 2024\n", "gemma"),
        ("Qwen RESEARCH LICENSE AGREEMENT\n\nQwen RESEARCH LICENSE AGREEMENT\n", "qwen-research"),
        ("Qwen LICENSE AGREEMENT\n\nIf more than 100 million monthly active users\n", "qwen"),
        ("DEEPSEEK LICENSE AGREEMENT\n\nVersion 1.0, 23 October 2023\n", "deepseek"),
        ("# Mistral AI Research License\n\nIf You want to use it commercially\n", "mrl"),
        ("Microsoft Research License Terms\n\nMICROSOFT RESEARCH LICENSE\n", "msr-research"),
        (
            "Creative Commons Attribution-NonCommercial 4.0 International Public\nLicense\n",
            "cc-by-nc-4.0",
        ),
    ],
)
def test_a_whole_text_is_recognised(head: str, licence: str) -> None:
    assert classify(head + "\nand a great deal more.\n" * 50).id == licence


def test_a_text_without_a_title_is_known_by_its_phrases() -> None:
    assert classify(MIT).id == "mit"
    assert classify(MIT.partition("\n\n")[2]).id == "mit"


def test_the_general_public_licence_that_names_the_affero_one_is_itself() -> None:
    text = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n" + "x " * 900
    assert classify(f"{text}\nUse with the GNU Affero General Public License.\n").id == "gpl-3.0"


def test_of_several_licences_in_a_text_the_strictest_counts() -> None:
    text = f"{MIT}\n\nThe weights: Gemma Terms of Use.\n\nThe data: Mistral AI Research License\n"
    assert classify(text).kind == "research"


def test_the_text_of_a_stranger_cannot_pose_as_permissive() -> None:
    found = classify("Totally free licence\x1b]0;owned\x07\n\n" + "apache mit bsd " * 30)
    assert found.kind == "other"
    assert "\x1b" not in found.name
    assert len(found.name) <= 200


def test_every_licence_says_what_it_means_in_both_languages() -> None:
    for licence in licences.every():
        assert set(licence.means) == {"en", "vi"}
        for line in licence.means.values():
            assert 20 < len(line) <= 150
            assert "\n" not in line
        assert licence.kind in licences.KINDS


def test_no_two_licences_share_a_name() -> None:
    seen: dict[str, str] = {}
    for licence in licences.every():
        for name in (licence.id, licence.name):
            assert classify(name).id == licence.id, name
            assert seen.setdefault(name, licence.id) == licence.id


def test_every_kind_has_a_licence_of_it() -> None:
    assert {licence.kind for licence in licences.every()} == set(licences.KINDS)


def test_without_a_list_everything_is_allowed() -> None:
    require_allowed(classify(None), (), "x")


@pytest.mark.parametrize("word", ["llama", "llama3.1", "Llama 3.1 Community License", "LLAMA"])
def test_a_list_allows_by_kind_by_id_and_by_name(word: str) -> None:
    require_allowed(classify("llama3.1"), (word, "permissive"), "llama3.1:8b")


@pytest.mark.parametrize("said", ["llama3.1", "cc-by-nc-4.0", "acme-1.0", None])
def test_what_the_list_has_not_is_refused(said: str | None) -> None:
    with pytest.raises(LicenceRefused) as caught:
        require_allowed(classify(said), ("permissive", "gemma"), "some:8b")
    assert "some:8b" in caught.value.message
    assert classify(said).means["en"] in caught.value.message
    assert "licences.allowed" in caught.value.message
    added = classify(said).kind if said in {"llama3.1", "cc-by-nc-4.0"} else classify(said).id
    assert f'allowed = ["permissive","gemma","{added}"]' in caught.value.next_step
    assert f"NOIBO_LICENCES_ALLOWED=permissive,gemma,{added} " in caught.value.next_step


def test_doing_what_the_refusal_says_allows_the_model() -> None:
    for said in ("llama3.1", "acme-1.0", None):
        licence = classify(said)
        with pytest.raises(LicenceRefused) as caught:
            require_allowed(licence, ("permissive",), "some:8b")
        _, _, rest = caught.value.next_step.partition("NOIBO_LICENCES_ALLOWED=")
        require_allowed(licence, rest.split(" ")[0].split(","), "some:8b")


def test_a_misspelt_kind_is_named() -> None:
    with pytest.raises(LicenceRefused) as caught:
        require_allowed(classify("mit"), ("permisive",), "phi4:14b")
    assert "did you mean 'permissive'" in caught.value.message
