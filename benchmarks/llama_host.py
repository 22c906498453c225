"""llama.cpp's own server out of whichever environment runs this: the wheel's, or one compiled here.

`python llama_host.py MODEL.gguf PORT SLOTS CONTEXT`; it needs xllamacpp and nothing of noibo.
"""

from __future__ import annotations

import os
import sys
import threading

import xllamacpp


def main(path: str, port: int, slots: int, context: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"model"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.n_batch = params.n_ubatch = 512
    cores = os.cpu_count() or 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores
    params.cont_batching = True
    params.cache_ram_mib = 0
    params.offline = True
    params.ui = False
    params.verbosity = 3
    server = xllamacpp.Server(params)
    print(f"ready {server.listening_address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
