"""Checkpoints of Hugging Face: run by the engine transformers, which rounds weights as it loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from noibo.engines.engine import Model
from noibo.engines.hosted.folder import Folder, chat_template
from noibo.errors import NotSupported
from noibo.llm_service.gguf_files import name_of
from noibo.llm_service.quantised import Wish
from noibo.modelstore.manifest import Licence
from noibo.modelstore.runnable import describe_files, files_of

ENGINE: Final = "transformers"
_LOAD_IN: Final = {8: "8bit", 4: "nf4"}  # bitsandbytes' two, as `load_in_8bit` has always meant


def read(folder: Path) -> tuple[Model, Licence]:
    """The checkpoint in a folder. Raises `BadModelFile` for half of one, and `NotSupported` for one
    that only makes vectors."""
    if Folder.of(folder).engine != ENGINE:
        raise NotSupported(
            f"{folder} is a model that makes vectors: it writes no answers.",
            next_step=f"Give one that writes. For vectors: `noibo add {folder}`, then "
            "/v1/embeddings of `noibo serve`.",
        )
    files = files_of(folder)
    facts, licence = describe_files([(one.role, one.name, folder / one.name) for one in files])
    model = Model(
        name=name_of(folder.name),
        engine=ENGINE,
        path=folder,
        parameters=facts.parameters or 0,
        trained_context=facts.context_length or 0,
        format=facts.format,
        template=chat_template(folder) or None,
        bytes=sum((folder / one.name).stat().st_size for one in files),
    )
    return model, licence


def rounded(model: Model, wish: Wish) -> tuple[Model, str]:
    """The same, loaded in as many bits as are asked for; and what it is in then."""
    load_in = _LOAD_IN.get(wish.bits, "")
    if not load_in:
        return model, str(model.options.get("load_in") or "")
    return replace(model, options={**model.options, "load_in": load_in}), load_in
