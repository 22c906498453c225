from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.ollama_store import find
from noibo.modelstore.importing.strange_tree import Look
from tests.modelstore.other_programs import (
    LIST,
    OllamaTree,
    adapter,
    model,
    projector,
    sha256,
    write,
)

MIT = b"MIT License\n\nCopyright (c) Acme\n\nPermission is hereby granted, free of charge, to any"


@pytest.fixture
def tree(tmp_path: Path) -> OllamaTree:
    return OllamaTree(tmp_path / "ollama")


def found(tree: OllamaTree) -> list[FoundModel | LeftOut]:
    return list(find(Place("Ollama", tree.path), Look()))


def one(tree: OllamaTree) -> FoundModel:
    (only,) = found(tree)
    assert isinstance(only, FoundModel), only
    return only


def left_out(tree: OllamaTree) -> LeftOut:
    (only,) = found(tree)
    assert isinstance(only, LeftOut), only
    return only


def test_a_model_comes_with_all_its_layers(tree: OllamaTree) -> None:
    data = model()
    path = tree.add(
        "llama3:8b",
        data,
        template=b"{{ if .System }}<|s|>{{ .System }}{{ end }}<|u|>{{ .Prompt }}<|a|>",
        system=b"You are a pirate.",
        params=json.dumps({"stop": ["<|x|>"], "temperature": 0.2, "num_ctx": 2048}).encode(),
        license=MIT,
        messages=json.dumps([{"role": "user", "content": "Ahoy"}]).encode(),
    )
    here = one(tree)
    assert str(here.reference) == "llama3:8b"
    assert here.origin == "ollama.com/library/llama3:8b"
    assert here.provenance.source == f"Ollama's llama3:8b at {path}"
    (file,) = here.files
    assert (file.role, file.size, file.sha256) == ("model", len(data), sha256(data))
    assert file.path == tree.path / "blobs" / f"sha256-{sha256(data)}"
    assert here.defaults.system == "You are a pirate."
    assert here.defaults.parameters == {"stop": ["<|x|>"], "temperature": 0.2, "num_ctx": 2048}
    assert here.defaults.messages == ({"role": "user", "content": "Ahoy"},)
    assert here.defaults.source_template is not None
    assert "{{ .Prompt }}" in here.defaults.source_template
    assert here.defaults.template is not None
    assert "<|u|>" in here.defaults.template
    assert here.licence.name == "MIT License"
    assert here.licence.text is not None


def test_projector_and_adapter_are_files_of_the_model(tree: OllamaTree) -> None:
    layers = [tree.layer("projector", projector()), tree.layer("adapter", adapter())]
    tree.entry("llava:7b", tree.manifest([*layers, tree.layer("model", model())]))
    assert [file.role for file in one(tree).files] == ["model", "projector", "adapter"]


def test_blobs_of_older_versions_have_a_colon(tmp_path: Path) -> None:
    tree = OllamaTree(tmp_path / "old", mark=":")
    tree.add("llama2:7b", model())
    assert one(tree).files[0].path.name.startswith("sha256:")


@pytest.mark.parametrize(
    ("entry", "name", "origin"),
    [
        ("registry.ollama.ai/acme/Tiny/v1", "acme/tiny:v1", "ollama.com/acme/tiny:v1"),
        (
            "hf.co/Acme/Tiny-GGUF/Q4_K_M",
            "hf.co/acme/tiny-gguf:q4_k_m",
            "hf.co/Acme/Tiny-GGUF:Q4_K_M",
        ),
        ("hf.co/Acme/Tiny-GGUF/latest", "hf.co/acme/tiny-gguf:latest", "hf.co/Acme/Tiny-GGUF"),
        ("models.acme.vn:5000/a/b/c", "models.acme.vn:5000/a/b:c", "models.acme.vn:5000/a/b:c"),
    ],
)
def test_a_name_is_that_of_ollama(tree: OllamaTree, entry: str, name: str, origin: str) -> None:
    tree.entry(entry, tree.manifest([tree.layer("model", model())]))
    assert (str(one(tree).reference), one(tree).origin) == (name, origin)


def test_two_tags_of_one_blob_are_two_models(tree: OllamaTree) -> None:
    tree.add("a:1", model())
    tree.add("a:2", model())
    first, second = found(tree)
    assert isinstance(first, FoundModel)
    assert isinstance(second, FoundModel)
    assert first.files[0].path == second.files[0].path


def test_what_the_new_folder_of_manifests_has_counts(tree: OllamaTree) -> None:
    old, new = model("old"), model("new")
    tree.add("llama3:8b", old)
    tree.add_v2("llama3:8b", tree.manifest([tree.layer("model", new)]))
    assert one(tree).files[0].sha256 == sha256(new)
    assert str(one(tree).reference) == "llama3:8b"


def test_of_a_list_of_manifests_the_one_for_gguf_is_taken(tree: OllamaTree) -> None:
    gguf = tree.manifest([tree.layer("model", model())])
    mlx = tree.manifest([tree.layer("tensor", b"x")]) | {"runner": "mlx"}
    digest = tree.blob(json.dumps(gguf).encode())
    listed = {"schemaVersion": 2, "mediaType": LIST}
    tree.add_v2("a:1", listed | {"manifests": [mlx, {"digest": digest, "runner": "llamacpp"}]})
    tree.add_v2("b:1", listed | {"manifests": [mlx, gguf | {"runner": "ollama"}]})
    tree.add_v2("c:1", listed | {"manifests": [mlx]})
    first, second, third = found(tree)
    assert isinstance(first, FoundModel)
    assert isinstance(second, FoundModel)
    assert isinstance(third, LeftOut)
    assert third.status == "left out"


def test_a_model_that_is_not_whole_is_said_to_be_so(tree: OllamaTree) -> None:
    for number, spoil in enumerate(
        [
            lambda blob: blob.unlink(),
            lambda blob: blob.rename(f"{blob}-partial"),
            lambda blob: os.truncate(blob, 100),
            lambda blob: (blob.unlink(), blob.symlink_to("/nowhere")),
            lambda blob: (blob.unlink(), blob.symlink_to("/dev/zero")),
            lambda blob: (blob.unlink(), blob.symlink_to(blob)),
            lambda blob: (blob.unlink(), os.mkfifo(blob)),
            lambda blob: (blob.unlink(), blob.mkdir()),
        ]
    ):
        data = model(f"number {number}")
        tree.add(f"a:{number}", data)
        spoil(tree.path / "blobs" / f"sha256-{sha256(data)}")
    assert [getattr(each, "status", each) for each in found(tree)] == ["incomplete"] * 8


def test_a_model_in_the_cloud_is_none(tree: OllamaTree) -> None:
    config = json.dumps({"remote_host": "https://ollama.com", "remote_model": "big"}).encode()
    tree.entry("big:cloud", tree.manifest([], config))
    assert left_out(tree).status == "left out"


@pytest.mark.shared
def test_no_hostile_manifest_becomes_a_model(tree: OllamaTree, shared: Path) -> None:
    cases = json.loads((shared / "hostile" / "manifests.json").read_text())
    manifests = [case["manifest"] for case in cases if "manifest" in case]
    manifests.append(tree.manifest([tree.layer("model", b"x")] * 100_000))  # "layers_100k"
    for number, manifest in enumerate(manifests):
        tree.entry(f"bad:{number}", manifest)
    tree.add("good:1", model())
    seen = found(tree)
    assert len(seen) == len(manifests) + 1 == 11
    assert [str(each.reference) for each in seen if isinstance(each, FoundModel)] == ["good:1"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b" " * (5 * 2**20),
        b'{"schemaVersion": 2}',
        b'{"mediaType": "' + LIST.encode() + b'", "manifests": [1]}',
    ],
)
def test_a_damaged_manifest_is_said_to_be_one(tree: OllamaTree, content: bytes) -> None:
    tree.entry("a:1", content)
    assert left_out(tree).status == "damaged"


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../etc/passwd", "../../etc/passwd", "sha256-" + "a" * 64, "", None]
)
def test_a_digest_that_leads_out_is_refused(tree: OllamaTree, digest: object) -> None:
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 5}
    tree.entry("a:1", tree.manifest([layer]))
    assert left_out(tree).status == "damaged"


def test_a_link_to_a_secret_does_not_become_a_prompt(tree: OllamaTree, tmp_path: Path) -> None:
    secret = write(tmp_path / "id_rsa", b"the secret")
    tree.add("a:1", model(), system=b"You are kind.")
    blob = tree.path / "blobs" / f"sha256-{sha256(b'You are kind.')}"
    blob.unlink()
    blob.symlink_to(secret)
    assert left_out(tree).status == "damaged"
    assert "the secret" not in str(found(tree))


def test_a_manifest_behind_a_link_must_be_a_blob(tree: OllamaTree, tmp_path: Path) -> None:
    outside = tree.add("x:1", model()).rename(tmp_path / "manifest.json")
    for name in ("a", "b"):
        (tree.path / "manifests/registry.ollama.ai/library" / name).mkdir()
    library = tree.path / "manifests/registry.ollama.ai/library"
    (library / "a" / "1").symlink_to(outside)
    (library / "b" / "1").symlink_to("/dev/zero")
    os.mkfifo(library / "b" / "2")
    (library / "b" / "3").mkdir()
    assert [getattr(each, "status", each) for each in found(tree)] == ["damaged"] * 4


def test_a_name_that_cannot_be_kept_harms_no_other(tree: OllamaTree) -> None:
    good = tree.manifest([tree.layer("model", model())])
    for name in ("a\nb:1", "\x1b[2J:1", "x..y:1", "con:1", f"{'n' * 200}:1", "ơ:1"):
        tree.entry(name, good)
    tree.entry("good:1", good)
    seen = found(tree)
    assert [str(each.reference) for each in seen if isinstance(each, FoundModel)] == ["good:1"]
    assert [each.status for each in seen if isinstance(each, LeftOut)] == ["left out"] * 6


def test_links_in_a_circle_end(tree: OllamaTree) -> None:
    tree.add("a:1", model())
    (tree.path / "manifests" / "loop").symlink_to(tree.path / "manifests")
    (tree.path / "manifests/registry.ollama.ai/library/loop").symlink_to(tree.path)
    assert len(found(tree)) == 1


def test_ten_thousand_models_are_found(tree: OllamaTree) -> None:
    first = tree.add("a:1", model())
    for number in range(100):
        folder = tree.path / f"manifests/registry.ollama.ai/acme/a{number}"
        folder.mkdir(parents=True)
        for tag in range(100):
            (folder / str(tag)).hardlink_to(first)
    first.unlink()
    assert sum(isinstance(each, FoundModel) for each in found(tree)) == 10_000
