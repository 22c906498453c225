"""Pulls from every kind of place, over real servers: what comes, what is tried, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.egress import Door
from noibo.errors import (
    BadModelFile,
    DigestMismatch,
    EgressRefused,
    FetchError,
    LicenceRefused,
    NameTaken,
    NoiboError,
    NotOffered,
    UnknownModel,
)
from noibo.modelstore.catalog import Catalog, Family, Size, Text
from noibo.modelstore.catalog.entry import HubPlace, OllamaPlace
from noibo.modelstore.download.pieces_table import Cut
from noibo.modelstore.manifest import InPlace, ModelFile, Provenance
from noibo.modelstore.progress import Cancel, Progress
from noibo.modelstore.pulling import Puller
from noibo.modelstore.reference import Reference
from noibo.modelstore.sources import Sources
from noibo.modelstore.store import Store, StoredModel
from noibo.settings import Fetch
from tests.modelstore.gguf_builder import STRING, U16, Gguf, llama
from tests.modelstore.hub_server import Answer, HubServer, Repo, WebServer
from tests.modelstore.index_server import tiny_gguf
from tests.modelstore.registry_server import RegistryServer

MODEL = tiny_gguf(1)
OTHER = tiny_gguf(2)


def part(number: int) -> bytes:
    model: Gguf = llama() if number == 0 else Gguf()
    return model.key("split.no", U16, number).key("split.count", U16, 2).bytes()


def kind_of(name: str) -> bytes:
    return llama().key("general.type", STRING, name).bytes()


def checkpoint() -> dict[str, bytes]:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [600], "data_offsets": [0, 1200]}})
    weights = len(header).to_bytes(8, "little") + header.encode() + bytes(1200)
    return {
        "config.json": b'{"model_type": "llama"}',
        "tokenizer.json": b"{}",
        "model.safetensors": weights,
        "pytorch_model.bin": b"never fetched" * 200,
        "modeling.py": b"raise SystemExit",
    }


class Setup:
    """A hub, a registry and a plain server; a store, and what a pull said."""

    def __init__(self, folder: Path, hub: HubServer, registry: RegistryServer) -> None:
        self.hub, self.registry = hub, registry
        self.store = Store(folder / "home" / "models")
        self.door = Door(record=folder / "home" / "egress.jsonl")
        self.fetch = Fetch(
            hub=hub.url, private_hosts=(hub.cdn.place,), registry=registry.origin, connections=2
        )
        self.known = Catalog(2, ())
        self.said: list[Progress] = []

    def pull(self, text: str, **options: object) -> StoredModel:
        sources = Sources(self.door, self.fetch, self.store.partial)
        puller = Puller(self.store, sources, self.known)
        return puller.pull(text, self.said.append, **options)  # type: ignore[arg-type]

    @property
    def notes(self) -> str:
        return "\n".join(one.note for one in self.said if one.note)


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    repos = {
        "acme/Tiny-GGUF": Repo(
            {
                "tiny.Q4_K_M.gguf": MODEL,
                "tiny.Q8_0.gguf": OTHER,
                "mmproj-tiny-f16.gguf": kind_of("mmproj"),
                "big-Q2_K-00001-of-00002.gguf": part(0),
                "big-Q2_K-00002-of-00002.gguf": part(1),
            }
        ),
        "acme/Tiny": Repo(checkpoint(), card={"license": "cc-by-nc-4.0"}, lfs_over=500),
    }
    with WebServer() as cdn, HubServer(repos, cdn) as hub, RegistryServer() as registry:
        yield Setup(tmp_path, hub, registry)


def test_a_gguf_of_the_hub_with_its_projector(setup: Setup) -> None:
    model = setup.pull("hf.co/acme/Tiny-GGUF")
    assert str(model.reference) == "hf.co/acme/tiny-gguf:latest"
    assert model.path.read_bytes() == MODEL
    assert model.projector is not None
    assert model.projector.read_bytes() == kind_of("mmproj")
    assert model.licence == "apache-2.0"
    assert "Licence: Apache" in setup.notes
    setup.hub.asked.clear()
    setup.hub.cdn.asked.clear()
    setup.pull("hf.co/acme/Tiny-GGUF")
    assert "the newest there is" in setup.notes
    assert setup.hub.cdn.asked == []


def test_a_quantisation_and_a_model_in_parts(setup: Setup) -> None:
    assert setup.pull("hf.co/acme/Tiny-GGUF:q8").path.read_bytes() == OTHER
    model = setup.pull("hf.co/acme/Tiny-GGUF:Q2_K")
    assert model.path.name == "big-Q2_K-00001-of-00002.gguf"
    assert model.path.with_name("big-Q2_K-00002-of-00002.gguf").read_bytes() == part(1)
    with pytest.raises(NotOffered, match="Q4_K_M"):
        setup.pull("hf.co/acme/Tiny-GGUF:Q5_K_M")


def test_a_checkpoint_comes_without_its_pickle_and_its_programs(setup: Setup) -> None:
    model = setup.pull("hf.co/acme/Tiny")
    names = {path.name for path in model.path.iterdir()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors"}
    assert model.facts.format == "safetensors"
    assert not any(one.endswith((".bin", ".py")) for one in setup.hub.paths())
    assert "non-commercial" in setup.notes


def test_a_moved_branch_brings_the_new_file_and_frees_the_old(setup: Setup) -> None:
    first = setup.pull("hf.co/acme/Tiny-GGUF")
    setup.hub.repos["acme/Tiny-GGUF"].files["tiny.Q4_K_M.gguf"] = OTHER
    second = setup.pull("hf.co/acme/Tiny-GGUF")
    assert second.path.read_bytes() == OTHER
    assert not first.path.exists()


def test_what_is_here_is_kept_when_its_place_cannot_be_asked(setup: Setup) -> None:
    first = setup.pull("hf.co/acme/Tiny-GGUF")
    setup.fetch = Fetch(hub="http://127.0.0.1:9")
    assert setup.pull("hf.co/acme/Tiny-GGUF").path == first.path
    assert "The one that is here is kept." in setup.notes
    setup.door = Door(offline=True)
    assert setup.pull("hf.co/acme/Tiny-GGUF").path == first.path


def test_a_model_of_the_registry_with_all_that_came_with_it(setup: Setup) -> None:
    adapter = kind_of("adapter")
    setup.registry.add(
        "library/tiny:1b",
        [
            ("model", MODEL),
            ("adapter", adapter),
            ("template", b"{{ if .System }}{{ .System }}\n{{ end }}Q: {{ .Prompt }}\nA: "),
            ("system", b"Be short."),
            ("params", b'{"temperature": 0.1, "stop": ["Q:"], "num_ctx": 512}'),
            ("license", b"MIT License\n\nCopyright (c) Somebody"),
        ],
    )
    model = setup.pull("tiny:1b")
    assert str(model.reference) == "tiny:1b"
    assert model.path.read_bytes() == MODEL
    assert [one.read_bytes() for one in model.adapters] == [adapter]
    assert model.defaults.system == "Be short."
    assert model.defaults.parameters == {"temperature": 0.1, "stop": ["Q:"], "num_ctx": 512}
    assert model.defaults.template is not None
    assert "Q: " in (model.defaults.source_template or "")
    assert "MIT" in setup.notes
    assert "Copyright" in (model.manifest.licence.text or "")


@pytest.mark.parametrize("tag", ["8b-instruct-q4_K_M", "8b-instruct-q4_k_m", "8b-q6_K"])
def test_a_tag_is_found_however_the_registry_spells_its_quantisation(
    setup: Setup, tag: str
) -> None:
    setup.registry.add(f"library/tiny:{tag}", [("model", MODEL)])
    assert str(setup.pull(f"ollama.com/tiny:{tag}").reference) == f"tiny:{tag.lower()}"


def test_another_host_that_speaks_the_same_protocol(setup: Setup) -> None:
    setup.registry.add("acme/tiny:1b", [("model", MODEL)])
    name = f"127.0.0.1:{setup.registry.port}/acme/tiny:1b"
    assert str(setup.pull(name).reference) == name
    assert setup.store.get(name).path.read_bytes() == MODEL


def test_a_release_of_a_repository(setup: Setup) -> None:
    github = setup.hub.cdn
    asset = {
        "name": "tiny.gguf",
        "size": len(MODEL),
        "digest": "sha256:" + hashlib.sha256(MODEL).hexdigest(),
        "state": "uploaded",
        "browser_download_url": f"{github.url}/dl/tiny.gguf",
        "url": f"{github.url}/asset/1",
        "id": 1,
    }
    github.answers["/repos/o/r/releases/latest"] = Answer.of({"tag_name": "v2", "assets": [asset]})
    github.files["/dl/tiny.gguf"] = github.files["/asset/1"] = MODEL
    setup.fetch = Fetch(github=github.url, private_hosts=(github.place,))
    model = setup.pull("github:o/r/tiny.gguf")
    assert model.path.read_bytes() == MODEL
    assert "v2" in model.source


def test_a_file_at_an_address(setup: Setup) -> None:
    web = setup.hub.cdn
    web.files["/a/My Model.gguf"] = web.files["/a/My%20Model.gguf"] = MODEL
    model = setup.pull(f"{web.url}/a/My%20Model.gguf?sig=secret")
    assert str(model.reference) == "my-model:latest"
    assert model.path.read_bytes() == MODEL
    kept = next((setup.store.folder / "manifests").rglob("*.json")).read_text()
    assert "secret" not in kept
    web.asked.clear()
    setup.pull(f"{web.url}/a/My%20Model.gguf?sig=secret", name="mine")
    assert setup.store.get("mine").path == model.path


def test_another_query_and_another_pin_are_other_files(setup: Setup) -> None:
    web = setup.hub.cdn
    web.files["/get.gguf"] = MODEL
    digest = hashlib.sha256(MODEL).hexdigest()
    first = setup.pull(f"{web.url}/get.gguf?id=1")
    with pytest.raises(NameTaken, match="already a model named get") as caught:
        setup.pull(f"{web.url}/get.gguf?id=2")
    assert "--name" in caught.value.next_step
    assert setup.pull(f"{web.url}/get.gguf?id=1#sha256={digest}").path == first.path
    with pytest.raises(DigestMismatch):
        setup.pull(f"{web.url}/get.gguf?id=1#sha256={'0' * 64}")
    assert setup.store.get("get").path == first.path


def test_a_file_of_ones_own_is_used_where_it_lies(setup: Setup, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(MODEL)
    assert setup.pull(str(path)).path == path
    with pytest.raises(NotOffered, match="no file"):
        setup.pull(str(tmp_path / "nothing.gguf"))


# Places in turn


def family(*places: object, licence: str = "apache-2.0", template: str | None = None) -> Catalog:
    said = Text("Tests.", "Thử.")
    tiny = Family(
        name="tiny",
        title="Tiny",
        maker="noibo",
        released="2026-01",
        licence=licence,
        languages=("en",),
        abilities=("chat",),
        strengths=said,
        best_for=said,
        template=template,
        stop=("###",) if template else (),
        sizes=(Size("1b", 1, default="Q4_K_M", places=places),),  # type: ignore[arg-type]
    )
    return Catalog(2, (tiny,), {}, {"plain": "{{ messages[0].content }}"})


HUB = HubPlace("acme/Tiny-GGUF", ("Q4_K_M", "Q8_0"))
OLLAMA = OllamaPlace("tiny:1b", "Q4_K_M")


def test_a_place_that_cannot_be_reached_gives_the_next(setup: Setup) -> None:
    setup.known = family(HUB, OLLAMA, template="plain")
    setup.fetch = Fetch(hub="http://127.0.0.1:9", registry=setup.registry.origin)
    setup.registry.add("library/tiny:1b", [("model", MODEL)])
    model = setup.pull("tiny")
    assert str(model.reference) == "tiny:1b"
    assert "Trying ollama.com/library/tiny:1b." in setup.notes
    assert model.defaults.template == "{{ messages[0].content }}"  # the registry had none
    assert model.defaults.parameters == {"stop": ["###"]}
    assert setup.pull("tiny:q4").path == model.path


@pytest.mark.parametrize("damage", ["bytes", "no model"])
def test_a_place_with_a_bad_file_gives_the_next(setup: Setup, damage: str) -> None:
    setup.known = family(OLLAMA, HUB)
    bad = b"no model at all" * 1000 if damage == "no model" else MODEL
    setup.registry.add("library/tiny:1b", [("model", bad)])
    if damage == "bytes":
        digest = "sha256:" + hashlib.sha256(MODEL).hexdigest()
        setup.registry.trouble.served = {digest: MODEL[:-1] + b"?"}
        setup.hub.repos["acme/Tiny-GGUF"].files["tiny.Q4_K_M.gguf"] = OTHER
    model = setup.pull("tiny:1b")
    assert model.source.startswith("hf.co/acme/Tiny-GGUF")
    assert len(list(setup.store.blobs.glob("sha256-" + "?" * 64))) == 2  # and its projector


def test_when_no_place_is_left_the_error_lists_what_was_tried(setup: Setup) -> None:
    setup.known = family(HUB, OLLAMA)
    setup.hub.repos.clear()
    with pytest.raises(FetchError) as caught:
        setup.pull("tiny:1b")
    said = caught.value.message.splitlines()
    assert said[0] == "tiny:1b could not be had. Tried, in this order:"
    assert said[1].startswith("  1. hf.co/acme/Tiny-GGUF:Q4_K_M: ")
    assert said[2].startswith("  2. ollama.com/library/tiny:1b: ")
    assert setup.store.list() == []


def test_offline_nothing_is_tried(setup: Setup) -> None:
    setup.known = family(HUB, OLLAMA)
    setup.door = Door(offline=True)
    with pytest.raises(EgressRefused, match="offline"):
        setup.pull("tiny")
    assert setup.hub.asked == []
    assert setup.registry.requests == []


def test_an_unknown_name_is_asked_of_ollamas_library(setup: Setup) -> None:
    setup.known = family(HUB)
    with pytest.raises(UnknownModel) as caught:
        setup.pull("tinny")
    assert "`noibo pull tiny:1b`" in caught.value.next_step
    setup.registry.add("library/tinny:latest", [("model", MODEL)])
    assert str(setup.pull("tinny").reference) == "tinny:latest"


def test_what_is_only_an_api_is_not_pulled(setup: Setup) -> None:
    said = Text("Tests.", "Thử.")
    hosted = Family(
        "gpt", "GPT", "X", "2026-01", "proprietary", ("en",), ("chat",), said, said, api_only=True
    )
    setup.known = Catalog(2, (hosted,))
    with pytest.raises(UnknownModel, match="API only"):
        setup.pull("gpt")


# What is not fetched


def test_the_same_bytes_are_kept_once_wherever_they_come_from(setup: Setup) -> None:
    setup.registry.add("library/a:1", [("model", MODEL)])
    setup.registry.add("library/b:1", [("model", MODEL)])
    first = setup.pull("a:1")
    setup.registry.requests.clear()
    second = setup.pull("b:1")
    assert first.path == second.path
    assert len(setup.registry.asked(hashlib.sha256(MODEL).hexdigest())) == 0
    assert (setup.store.remove("a:1").freed, setup.store.remove("b:1").freed) == (0, len(MODEL))


def test_a_file_that_another_program_has_is_used_where_it_lies(
    setup: Setup, tmp_path: Path
) -> None:
    digest = hashlib.sha256(MODEL).hexdigest()
    theirs = tmp_path / f"sha256-{digest}"
    theirs.write_bytes(MODEL)
    file = ModelFile("model", "model.gguf", InPlace.of(theirs, digest))
    setup.store.keep(Reference("theirs"), [file], Provenance("Ollama's theirs"))
    setup.registry.add("library/a:1", [("model", MODEL)])
    model = setup.pull("a:1")
    assert model.path == theirs
    assert not setup.store.blob(digest).exists()
    assert setup.store.remove("a:1").in_place == len(MODEL)
    assert theirs.exists()
    os.utime(theirs, ns=(1, 1))  # it changed: no longer believed
    assert setup.pull("a:1").path == setup.store.blob(digest)


def test_a_file_whose_name_claims_a_digest_is_believed_after_a_look(
    setup: Setup, tmp_path: Path
) -> None:
    digest = hashlib.sha256(MODEL).hexdigest()
    theirs = tmp_path / f"sha256-{digest}"
    theirs.write_bytes(OTHER)
    file = ModelFile("model", "model.gguf", InPlace.of(theirs, digest))
    setup.store.keep(Reference("theirs"), [file], Provenance("Ollama's theirs"))
    setup.registry.add("library/a:1", [("model", MODEL)])
    assert setup.pull("a:1").path.read_bytes() == MODEL


def test_the_case_of_a_repository_does_not_matter(setup: Setup) -> None:
    first = setup.pull("hf.co/acme/Tiny-GGUF:Q8_0")
    assert setup.pull("hf.co/acme/tiny-gguf:q8_0").path == first.path


def test_a_damaged_blob_is_mended_by_fetching_its_bad_part_only(setup: Setup) -> None:
    digest = hashlib.sha256(OTHER).hexdigest()
    setup.registry.add("library/a:1", [("model", OTHER)])
    blob = setup.pull("a:1").path
    data = bytearray(OTHER)
    data[len(data) // 2] ^= 1
    blob.write_bytes(bytes(data))
    setup.store.set_aside(digest)
    assert not blob.exists()
    setup.registry.requests.clear()
    assert setup.pull("a:1").path.read_bytes() == OTHER
    asked = [headers.get("range", "") for headers in setup.registry.asked(digest)]
    sizes = [int(b) - int(a) + 1 for a, b in (one[6:].split("-") for one in asked)]
    assert 0 < sum(sizes) <= Cut().chunk


# Licences


def test_a_licence_that_is_not_allowed_is_refused_before_a_byte_comes(setup: Setup) -> None:
    setup.store = Store(setup.store.folder, allowed_licences=["permissive"])
    with pytest.raises(LicenceRefused) as caught:
        setup.pull("hf.co/acme/Tiny")
    assert 'allowed = ["permissive","non-commercial"]' in caught.value.next_step
    assert setup.hub.cdn.asked == []
    assert setup.store.list() == []
    assert setup.pull("hf.co/acme/Tiny-GGUF").licence == "apache-2.0"


def test_a_licence_that_only_the_file_states_is_looked_at_when_it_is_here(setup: Setup) -> None:
    gguf = llama().key("general.license", STRING, "cc-by-nc-4.0").bytes()
    setup.registry.add("library/a:1", [("model", gguf)])
    setup.store = Store(setup.store.folder, allowed_licences=["permissive"])
    with pytest.raises(LicenceRefused, match="a:1"):
        setup.pull("a:1")
    assert not list(setup.store.blobs.iterdir())


# What else goes wrong


@pytest.mark.parametrize("role", ["projector", "adapter"])
def test_a_file_that_is_not_what_its_layer_says_is_refused(setup: Setup, role: str) -> None:
    setup.registry.add("library/a:1", [("model", MODEL), (role, OTHER)])
    with pytest.raises(BadModelFile, match=f"should be a {role}"):
        setup.pull("a:1")
    assert not list(setup.store.blobs.iterdir())


def test_a_cancel_between_files_keeps_the_first(setup: Setup) -> None:
    cancel = Cancel()

    def stop_at_the_second(progress: Progress) -> None:
        if progress.number == 2:
            cancel.ask()

    sources = Sources(setup.door, setup.fetch, setup.store.partial)
    with pytest.raises(NoiboError, match="cancelled"):
        Puller(setup.store, sources).pull("hf.co/acme/Tiny-GGUF", stop_at_the_second, cancel=cancel)
    assert setup.store.list() == []
    setup.hub.cdn.asked.clear()
    assert setup.pull("hf.co/acme/Tiny-GGUF").path.read_bytes() == MODEL
    fetched = {one.path for one in setup.hub.cdn.asked}
    assert f"/{hashlib.sha256(MODEL).hexdigest()}" not in fetched
