"""Which worker of a checkpoint does what is asked: the one that writes, or one for vectors."""

from __future__ import annotations

from dataclasses import replace

from noibo.engines.engine import Model, Verb
from noibo.engines.hosted.folder import Folder
from noibo.errors import NotSupported


def served(model: Model, verb: Verb, folder: Folder) -> Model:
    """What writes also scores and tokenises; vectors come of a worker of their own. Raises
    `NotSupported`."""
    if verb in {Verb.GENERATE, Verb.SCORE} and not folder.writes:
        raise NotSupported(
            f"{model.name} only embeds: it says nothing of the next token.",
            next_step="Ask it at /v1/embeddings, or take a model that writes.",
        )
    if verb is Verb.EMBED or not folder.writes:
        return replace(model, verb=Verb.EMBED, context=0)
    return replace(model, verb=Verb.GENERATE)
