"""Which files of a repository make up the model that was asked for. Pure: a listing in, files out.

Of a repository with GGUF files: one quantisation, all its parts, and the projector for images. Of
one with safetensors: the checkpoint folder without duplicates. Never a file that could run code
when it is read (pickle: .bin, .pt, .pth, .ckpt …; .py): those are not even looked at.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from noibo.errors import NotOffered
from noibo.modelstore.offer import Role
from noibo.modelstore.parts import Part, whole
from noibo.modelstore.sources.hub_listing import HubFile
from noibo.modelstore.sources.hub_quants import best, by_size, first_choice, label

PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")

_NO_MODEL: Final = re.compile(
    r"(?:^|[-_.])(?:imatrix|lora|adapters?|control[-_]?vector)(?:[-_.]|$)|^ggml-vocab", re.I
)
_BESIDE_WEIGHTS: Final = re.compile(
    r"config\.json|generation_config\.json|tokenizer[^/]*\.(?:json|model|txt|jinja)"
    r"|vocab\.(?:json|txt)|merges\.txt|special_tokens_map\.json|added_tokens\.json|tekken\.json"
    r"|[^/]*\.tiktoken|spiece\.model|sentencepiece[^/]*\.model"
    r"|chat_template[^/]*\.(?:json|jinja)|additional_chat_templates/[^/]+\.jinja"
    r"|(?:video_|image_|audio_)?(?:pre)?processor_config\.json"
    r"|modules\.json|config_sentence_transformers\.json|sentence_bert_config\.json"
    r"|\d_[A-Za-z]+/(?:config\.json|model\.safetensors)"
)
_SHARD: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_INDEX: Final = "model.safetensors.index.json"
_ONE_FILE: Final = "model.safetensors"
_PROJECTORS: Final = ("F16", "BF16", "F32", "Q8_0")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file and what it is to the model. `name` is its name there."""

    role: Role
    file: HubFile

    @property
    def name(self) -> str:
        return self.file.path if self.role == "file" else self.file.name


def choose(
    files: Sequence[HubFile], repo: str, quantisation: str | None = None, file: str | None = None
) -> tuple[Chosen, ...]:
    """The files to fetch, the model's own first; `NotOffered` says what there is instead."""
    there = {one.path: one for one in files}
    gguf = [one for one in files if one.path.lower().endswith(".gguf")]
    if file is not None:
        return _gguf(_named(file, there, repo), there, gguf)
    models = [one.path for one in gguf if not _is_projector(one) and not _NO_MODEL.search(one.name)]
    if models:
        return _gguf(_of_quantisation(quantisation, models, there, repo), there, gguf)
    return _checkpoint(there, repo, quantisation)


def _named(file: str, there: dict[str, HubFile], repo: str) -> str:
    if file in there:
        return file
    near = difflib.get_close_matches(file, there, n=3, cutoff=0.4)
    raise NotOffered(
        f"hf.co/{repo} has no file {file}.",
        next_step=f"There are: {', '.join(near)}." if near else f"See https://hf.co/{repo}.",
    )


def _of_quantisation(
    asked: str | None, models: list[str], there: dict[str, HubFile], repo: str
) -> str:
    """The path of the model, or of the first part of it, in the quantisation asked."""
    labels: dict[str, list[str]] = {}
    for path in models:
        part = Part.of(path)
        if part is None or part.number == 1 or part.path(1) not in there:
            labels.setdefault(label(path) or "", []).append(path)
    if asked is not None:
        chosen = best(asked, filter(None, labels))
        if chosen is None:
            has = ", ".join(by_size(filter(None, labels))) or ", ".join(models[:5])
            raise NotOffered(f"hf.co/{repo} has no {asked}.", next_step=f"It has: {has}.")
    else:
        chosen = first_choice({one: _size(paths[0], there) for one, paths in labels.items()})
    candidates = labels[chosen]
    single = [path for path in candidates if Part.of(path) is None]
    if len(single or candidates) > 1:
        several = sorted(single or candidates)
        raise NotOffered(
            f"hf.co/{repo} has {len(several)} models{f' in {chosen}' if chosen else ''}: "
            f"{', '.join(several[:5])}{' …' if len(several) > 5 else ''}.",
            next_step=f"Name one: `noibo pull hf.co/{repo}/{several[0]}`.",
        )
    return (single or candidates)[0]


def _gguf(path: str, there: dict[str, HubFile], gguf: list[HubFile]) -> tuple[Chosen, ...]:
    first, *others = (there[one] for one in whole(path, there))
    chosen = [Chosen("model", first), *(Chosen("part", one) for one in others)]
    projectors = [one for one in gguf if _is_projector(one) and one.path != path]
    if projectors:
        chosen.append(Chosen("projector", min(projectors, key=_projector_rank)))
    return tuple(chosen)


def _checkpoint(
    there: dict[str, HubFile], repo: str, quantisation: str | None
) -> tuple[Chosen, ...]:
    weights = _weights(there, repo)
    if quantisation is not None:
        raise NotOffered(
            f"hf.co/{repo} has no {quantisation}: it holds safetensors and no GGUF file.",
            next_step=f"`noibo pull hf.co/{repo}`, or find quantisations of it: "
            f"`noibo search {repo.partition('/')[2]} gguf`.",
        )
    if "config.json" not in there:
        raise NotOffered(
            f"hf.co/{repo} has no config.json: it is no model that noibo can read.",
            next_step=f"See https://hf.co/{repo} for what it is.",
        )
    beside = [path for path in there if _BESIDE_WEIGHTS.fullmatch(path)]
    names = [*weights, *(path for path in sorted(beside) if path not in weights)]
    if len({name.casefold() for name in names}) < len(names):
        raise NotOffered(f"hf.co/{repo} has files whose names differ only in capitals.")
    return tuple(Chosen("file", there[name]) for name in names)


def _weights(there: dict[str, HubFile], repo: str) -> list[str]:
    if _ONE_FILE in there:
        return [_ONE_FILE]
    shards = sorted(path for path in there if _SHARD.fullmatch(path))
    if shards:
        if _INDEX not in there:
            raise NotOffered(f"hf.co/{repo} is in {len(shards)} shards, and {_INDEX} is missing.")
        return [*whole(shards[0], there), _INDEX]
    if any(path.endswith("adapter_model.safetensors") for path in there):
        raise NotOffered(
            f"hf.co/{repo} is an adapter (LoRA), not a model by itself.",
            next_step=f"Its page names the model it belongs to: https://hf.co/{repo}.",
        )
    if any(path.lower().endswith(PICKLES) for path in there):
        raise NotOffered(
            f"hf.co/{repo} has its weights as Python pickles only. noibo never fetches those: "
            "reading one runs code from the file.",
            next_step="Find the same model as GGUF or safetensors: "
            f"`noibo search {repo.partition('/')[2]}`.",
        )
    raise NotOffered(
        f"hf.co/{repo} holds no model: neither GGUF files nor model.safetensors.",
        next_step=f"See https://hf.co/{repo} for what it is.",
    )


def _is_projector(file: HubFile) -> bool:
    return "mmproj" in file.name.lower()


def _projector_rank(file: HubFile) -> tuple[int, int, str]:
    kind = label(file.path)
    rank = _PROJECTORS.index(kind) if kind in _PROJECTORS else len(_PROJECTORS)
    return rank, file.size or 0, file.path


def _size(path: str, there: dict[str, HubFile]) -> int:
    return there[path].size or 0
