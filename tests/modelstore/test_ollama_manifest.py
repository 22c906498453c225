"""Manifests of Ollama's, honest and hostile, and what the small layers say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.errors import FetchError
from noibo.modelstore.ollama import ollama_defaults, ollama_manifest
from noibo.modelstore.ollama.ollama_manifest import MAX_SIZE, Layer

GOOD = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
MODEL = {"mediaType": ollama_manifest.MODEL, "digest": GOOD, "size": 5}
CONFIG = {
    "mediaType": "application/vnd.docker.container.image.v1+json",
    "digest": OTHER,
    "size": 7,
}


def manifest(**changes: Any) -> dict[str, Any]:
    plain = {
        "schemaVersion": 2,
        "mediaType": ollama_manifest.ACCEPTED[0],
        "config": CONFIG,
        "layers": [MODEL],
    }
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def with_digest(digest: Any) -> dict[str, Any]:
    return manifest(layers=[{**MODEL, "digest": digest}])


def with_size(size: Any) -> dict[str, Any]:
    return manifest(layers=[{**MODEL, "size": size}])


def read(value: Any) -> ollama_manifest.OllamaManifest:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ollama_manifest.read(data)


BAD_DIGESTS = [
    None,
    5,
    "",
    "sha256:",
    "a" * 64,
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "g" * 64,
    "sha256-" + "a" * 64,
    "SHA256:" + "a" * 64,
    " sha256:" + "a" * 64,
    "sha256:" + "a" * 64 + "\n",
    "sha256:" + "a" * 63 + "\0",
    "sha256:" + "a" * 61 + "/..",
    "sha256:" + "a" * 58 + "%2f..",
    "sha256:" + "..\\" * 21 + "a",
    "sha256:../../../../etc/passwd",
    "sha256:/etc/passwd",
    "sha256:" + "a" * 64 + "/../../x",
    "sha256:" + "а" * 64,  # Cyrillic
    "sha256:" + "１" * 64,  # digits of another script
    "sha512:" + "a" * 128,
    "sha1:" + "a" * 40,
    "md5:" + "a" * 32,
    "sha256:sha256:" + "a" * 64,
    [GOOD],
    {"sha256": "a" * 64},
]
BAD_SIZES = [-1, 5.0, 5.5, "5", None, True, [], MAX_SIZE + 1, 2**63 - 1, 2**63, 2**64, 10**400]
BAD_SHAPES = {
    "layers null": manifest(layers=None),
    "layers missing": manifest(layers=...),
    "layers an object": manifest(layers={"0": MODEL}),
    "layers a text": manifest(layers="sha256"),
    "a layer null": manifest(layers=[None]),
    "a layer a text": manifest(layers=[GOOD]),
    "a layer a list": manifest(layers=[[MODEL]]),
    "1001 layers": manifest(layers=[MODEL] * 1001),
    "100 000 layers": manifest(layers=[MODEL] * 100_000),
    "a layer without a type": manifest(layers=[{"digest": GOOD, "size": 5}]),
    "a layer with an empty type": manifest(layers=[{**MODEL, "mediaType": ""}]),
    "a layer with a long type": manifest(layers=[{**MODEL, "mediaType": "x" * 300}]),
    "a layer without a digest": manifest(layers=[{"mediaType": "m", "size": 5}]),
    "a layer without a size": manifest(layers=[{"mediaType": "m", "digest": GOOD}]),
    "config null": manifest(config=None),
    "config missing": manifest(config=...),
    "config a list": manifest(config=[CONFIG]),
    "config with a bad digest": manifest(config={**CONFIG, "digest": "sha256:.."}),
    "config with a bad size": manifest(config={**CONFIG, "size": -1}),
    "version 1": manifest(schemaVersion=1),
    "version 3": manifest(schemaVersion=3),
    "version as text": manifest(schemaVersion="2"),
    "version as a fraction": manifest(schemaVersion=2.0),
    "version true": manifest(schemaVersion=True),
    "version missing": manifest(schemaVersion=...),
    "an index of OCI": manifest(mediaType="application/vnd.oci.image.index.v1+json"),
    "a list of Docker": manifest(
        mediaType="application/vnd.docker.distribution.manifest.list.v2+json"
    ),
    "a list without saying so": {"schemaVersion": 2, "manifests": []},
    "type null": manifest(mediaType=None),
    "type a number": manifest(mediaType=2),
    "another type": manifest(mediaType="application/json"),
    "two sizes of one file": manifest(layers=[MODEL, {**MODEL, "size": 6}]),
    "two sizes, one of the config": manifest(config={**CONFIG, "digest": GOOD}),
    "sizes too large together": manifest(
        layers=[MODEL | {"size": MAX_SIZE}, {**MODEL, "digest": "sha256:" + "c" * 64}]
    ),
    "a list": [manifest()],
    "a text": "manifest",
    "a number": 2,
    "null": None,
}
BAD_BYTES = {
    "nothing": b"",
    "a web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "half of it": json.dumps(manifest()).encode()[:-10],
    "and more": json.dumps(manifest()).encode() + b"x",
    "not a number": json.dumps(manifest()).encode().replace(b'"size": 5', b'"size": NaN'),
    "not UTF-8": json.dumps(manifest()).encode().replace(b"ollama", b"\xff\xfe"),
    "UTF-16": json.dumps(manifest()).encode("utf-16"),
    "with a mark of byte order": b"\xef\xbb\xbf" + json.dumps(manifest()).encode(),
    "a key twice": b'{"layers": [], ' + json.dumps(manifest()).encode()[1:],
    "nested deeply": b"[" * 200_000 + b"]" * 200_000,
    "nested deeply inside": b'{"schemaVersion": 2, "x": ' + b'{"a":' * 100_000 + b"1",
    "a long number": b'{"schemaVersion": ' + b"9" * 100_000 + b"}",
    "five megabytes": json.dumps(manifest()).encode() + b" " * 5 * 2**20,
    "a GGUF file": b"GGUF\x03\0\0\0" + b"\0" * 100,
    "gzip": b"\x1f\x8b\x08\0\0",
}


def test_a_manifest_is_read() -> None:
    found = read(manifest())
    assert found.model == Layer(ollama_manifest.MODEL, "a" * 64, 5)
    assert found.config.digest == OTHER
    assert read(manifest(mediaType=ollama_manifest.ACCEPTED[1])) == found
    assert read(manifest(mediaType=...)) == found
    assert read(manifest(more="unknown", layers=[{**MODEL, "from": "/home/x", "name": "y"}]))


def test_unknown_layers_are_kept_and_not_used() -> None:
    strange = {"mediaType": "application/vnd.acme.x", "digest": "sha256:" + "c" * 64, "size": 0}
    found = read(manifest(layers=[strange, MODEL]))
    assert [layer.media_type for layer in found.layers] == [
        "application/vnd.acme.x",
        ollama_manifest.MODEL,
    ]
    assert found.model.sha256 == "a" * 64


def test_a_layer_listed_twice_is_one() -> None:
    assert len(read(manifest(layers=[MODEL, MODEL])).layers) == 1


@pytest.mark.parametrize("digest", BAD_DIGESTS, ids=repr)
def test_only_a_sha256_is_a_digest(digest: Any) -> None:
    for bad in (with_digest(digest), manifest(config={**CONFIG, "digest": digest})):
        with pytest.raises(FetchError, match=r"digest of (layer 1|config)"):
            read(bad)


@pytest.mark.parametrize("size", BAD_SIZES, ids=lambda size: repr(size)[:30])
def test_only_a_size_a_file_can_have_is_a_size(size: Any) -> None:
    with pytest.raises(FetchError, match=r"size of layer 1|no JSON"):
        read(with_size(size))


@pytest.mark.parametrize("shape", BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_other_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(FetchError, match="manifest cannot be used") as caught:
        read(shape)
    assert caught.value.next_step


@pytest.mark.parametrize("data", BAD_BYTES.values(), ids=BAD_BYTES)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FetchError, match="manifest cannot be used") as caught:
        read(data)
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_what_is_shown_of_a_stranger_is_safe() -> None:
    with pytest.raises(FetchError) as caught:
        read(with_digest("\x1b[2J\u202esha256" + "x" * 10_000))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_a_manifest_without_one_model_says_why() -> None:
    tensor = {**MODEL, "mediaType": ollama_manifest.TENSOR}
    for layers, why in (
        ([], "no model file"),
        ([tensor], "single tensors"),
        ([MODEL, {**MODEL, "digest": OTHER, "size": 7}], "several models"),
    ):
        with pytest.raises(FetchError, match=why):
            _ = read(manifest(layers=layers)).model


@pytest.mark.shared
def test_every_shared_manifest_has_its_verdict(shared: Path) -> None:
    cases = json.loads((shared / "hostile/manifests.json").read_bytes())
    verdicts = {}
    for case in cases:
        if "redirect" in case:  # nothing about a manifest: see test_registry
            continue
        value = case.get("manifest") or manifest(layers=[MODEL] * 100_000)
        try:
            read(value)
        except FetchError:
            verdicts[case["name"]] = "refused"
        else:
            verdicts[case["name"]] = "read"
    well_formed = verdicts.pop("digest_mismatch_duplicate")  # its bytes are wrong, see there
    assert well_formed == "read"
    assert len(verdicts) >= 9
    assert set(verdicts.values()) == {"refused"}


def said(config: Any = None, **layers: Any) -> ollama_defaults.Said:
    data = [
        (
            getattr(ollama_manifest, name.upper()),
            value if isinstance(value, bytes) else json.dumps(value).encode(),
        )
        for name, value in layers.items()
    ]
    return ollama_defaults.read(json.dumps(config or {}).encode(), data)


def test_small_layers_become_defaults() -> None:
    found = said(
        template=b"{{ .System }}|{{ .Prompt }}",
        system=b"Be brief.",
        parameters={"temperature": 1, "stop": ["<s>", "</s>"], "num_ctx": 4096.0, "odd": [1]},
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}],
        licence=b"\n\n  # Apache License\nVersion 2.0, January 2004\n",
    )
    defaults = found.defaults
    assert defaults.template and "turn['prompt']" in defaults.template
    assert defaults.source_template == "{{ .System }}|{{ .Prompt }}"
    assert defaults.system == "Be brief."
    assert defaults.parameters == {
        "temperature": 1.0,
        "stop": ["<s>", "</s>"],
        "num_ctx": 4096,
        "odd": [1],
    }
    assert isinstance(defaults.parameters["num_ctx"], int)
    assert defaults.messages[1] == {"role": "assistant", "content": "Hello."}
    assert found.licence == "Apache License"
    assert found.licence_text and found.licence_text.startswith("# Apache License\nVersion 2.0")
    assert found.notes == ()


def test_parameters_of_a_wrong_type_are_left_out_and_named() -> None:
    wrong = {
        "temperature": "hot",
        "top_k": 1.5,
        "seed": True,
        "num_ctx": 10**30,
        "stop": [1],
        "mirostat_tau": None,
        "use_mmap": 1,
        "top_p": [0.5],
    }
    found = said(parameters={**wrong, "min_p": 0.1, "stop ": "kept: unknown"})
    assert found.defaults.parameters == {"min_p": 0.1, "stop ": "kept: unknown"}
    assert all(name in found.notes[0] for name in wrong)
    assert said(parameters=b'{"stop": "one"}').defaults.parameters == {"stop": ["one"]}


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "1e999", "-1e999", "NaN", "Infinity", '{"a": 1}', "[[1]]", "null"]
)
@pytest.mark.parametrize("name", ["odd", "temperature", "num_ctx", "stop"])
def test_a_parameter_that_no_reader_would_take_for_the_same_is_left_out(
    name: str, value: str
) -> None:
    found = said(parameters=f'{{"{name}": {value}, "min_p": 0.1}}'.encode())
    assert found.defaults.parameters == {"min_p": 0.1}
    assert name in found.notes[0]


def test_a_template_that_ollama_does_not_use_is_kept_and_not_translated() -> None:
    own = said({"renderer": "qwen3-coder\x1b"}, template=b"{{ .System }} {{ .Prompt }}")
    assert own.defaults.template is None
    assert own.defaults.source_template == "{{ .System }} {{ .Prompt }}"
    assert "renderer" in own.notes[0] and own.notes[0].isprintable()
    plain = said(template=b"{{ .Prompt }}")
    assert plain.defaults.template is None and plain.notes == ()
    strange = said(template=b'{{ define "x" }}{{ end }}{{ .Prompt }}')
    assert strange.defaults.template is None and "translated" in strange.notes[0]


def test_the_last_of_a_type_counts_and_licences_are_joined() -> None:
    layers = [
        (ollama_manifest.SYSTEM, b"first"),
        (ollama_manifest.LICENCE, b"MIT License"),
        (ollama_manifest.SYSTEM, b"second"),
        (ollama_manifest.LICENCE, b"and \xff more"),
    ]
    found = ollama_defaults.read(b"{}", layers)
    assert found.defaults.system == "second"
    assert found.licence == "MIT License"
    assert found.licence_text == "MIT License\n\nand \ufffd more"


@pytest.mark.parametrize(
    ("layer", "data"),
    [
        ("template", b"\xff"),
        ("system", b"\xc3"),
        ("parameters", b"[1]"),
        ("parameters", b"{"),
        ("parameters", b"[" * 100_000),
        ("parameters", b'{"stop": ["\\ud800"]}'),
        ("parameters", b'{"\\udfff": 1}'),
        ("parameters", b'{"odd": 1' + b"0" * 5000 + b"}"),
        ("messages", b'[{"role": "user", "content": "\\ud800"}]'),
        ("messages", b"{}"),
        ("messages", b'[{"role": "root", "content": "x"}]'),
        ("messages", b'[{"role": ["user"], "content": "x"}]'),
        ("messages", b'[{"role": "user", "content": 5}]'),
        ("messages", b"[null]"),
    ],
)
def test_a_layer_that_is_not_what_it_says_is_refused(layer: str, data: bytes) -> None:
    with pytest.raises(FetchError, match="The model's layer"):
        said(**{layer: data})


def test_a_model_that_runs_elsewhere_says_so() -> None:
    with pytest.raises(FetchError, match="on the registry's computers only"):
        said({"remote_host": "https://ollama.com", "remote_model": "x"})
    for config in (b"[]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(FetchError, match="configuration"):
            ollama_defaults.read(config, [])
