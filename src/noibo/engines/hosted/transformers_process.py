"""The child process that runs a model by transformers. Started by `noibo.engines.worker` only."""

from __future__ import annotations

import asyncio
from typing import Any

from noibo.engines.child import announce, fail, read_config, ready
from noibo.engines.hosted.reader import Reader
from noibo.engines.hosted.scores import HostedScores
from noibo.engines.hosted.shell import Shell, serve
from noibo.engines.hosted.vectors import Vectors
from noibo.settings import tell_libraries

# No library here reaches for a network, counts who uses it, or draws progress into the log. Threads
# that wait for each other sleep: spinning, they wrote 2 tokens a second instead of 17 where another
# process wanted the processor too.
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def main() -> None:
    config = read_config()
    tell_libraries(SETTINGS | {"OMP_NUM_THREADS": str(config["threads"])})
    announce("progress", note="importing transformers")
    try:
        from noibo.engines.hosted import transformers_model as models
    except ImportError as exc:
        fail(f"transformers cannot be imported: {exc}")
    announce("progress", note=f"loading {config['alias']}")
    embeds = config["verb"] == "embed"
    made: Any = models.TransformersEmbedder if embeds else models.TransformersWriter
    try:
        model = made(config)
    except models.CannotLoad as exc:
        fail(f"transformers could not load {exc}")
    asyncio.run(_serve(config, model, embeds=embeds))


async def _serve(config: dict[str, Any], model: Any, *, embeds: bool) -> None:
    if embeds:
        url, _ = await serve(Shell(config, vectors=Vectors(model)))
    else:
        reader = Reader(model, config["batch"])
        shell = Shell(config, reader)
        scores = HostedScores(reader, config["api_key"], shell.thread)
        shell.working.append(scores.working)
        await shell.in_thread(lambda: _warm(reader))
        url, _ = await serve(shell, [scores.add_to])
    ready(config, url=url)
    await asyncio.Event().wait()


def _warm(reader: Reader) -> None:
    """All of the model is in memory when it is said to be ready, and its threads run: no thread is
    started while it serves but those that are counted on."""
    reader.read([0])
    reader.keep(0)


if __name__ == "__main__":
    main()
