"""The child process that embeds by OpenVINO. Started by `noibo.engines.worker` only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noibo.engines.child import announce, fail, read_config, ready
from noibo.engines.hosted.hugging_face import Words
from noibo.engines.hosted.python_model import Json, Scores
from noibo.engines.hosted.shell import Shell, serve
from noibo.engines.hosted.vectors import Vectors


class OpenVinoEmbedder:
    """An encoder, compiled for this processor."""

    def __init__(self, config: Json) -> None:
        import openvino as ov

        from noibo.engines.hosted.encoder import build

        folder = Path(config["path"])
        said = json.loads((folder / "config.json").read_bytes())
        self._compiled = ov.Core().compile_model(
            build(folder, said, config["pooling"]),
            "CPU",
            {"INFERENCE_NUM_THREADS": config["threads"], "PERFORMANCE_HINT": "LATENCY"},
        )
        self.vocabulary = Words.of(folder, int(said["vocab_size"]))
        self.context: int = config["ctx_size"]

    def embed(self, inputs: Sequence[Sequence[int]]) -> Scores:
        longest = max(map(len, inputs))
        ids = np.zeros((len(inputs), longest), np.int64)
        mask = np.zeros((len(inputs), longest), np.float32)
        for row, tokens in enumerate(inputs):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        found: Any = self._compiled([ids, mask])[0]
        return np.array(found, np.float32)


def main() -> None:
    config = read_config()
    announce("progress", note=f"loading {config['alias']}")
    try:
        model = OpenVinoEmbedder(config)
    except ImportError as exc:
        fail(f"OpenVINO cannot be imported: {exc}")
    except Exception as exc:  # noqa: BLE001 - its own, and those of a folder that is none
        fail(f"OpenVINO could not load {config['path']}: {exc}")
    asyncio.run(_serve(config, model))


async def _serve(config: Json, model: OpenVinoEmbedder) -> None:
    shell = Shell(config, vectors=Vectors(model))
    await shell.in_thread(lambda: model.embed([[0] * 16]))  # all of it is in memory
    url, _ = await serve(shell)
    ready(config, url=url)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
