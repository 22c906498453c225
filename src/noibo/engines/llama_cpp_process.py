"""The child process that runs llama.cpp's server. Started by `noibo.engines.worker` only."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from typing import Any

from noibo.engines.child import announce, read_config, ready


def main() -> None:
    config = read_config()
    announce("progress", note="importing llama.cpp")
    import xllamacpp

    announce("progress", note=f"loading {config['alias']}")
    try:
        server = _start(xllamacpp, config)
    except RuntimeError as exc:
        sys.exit(f"llama.cpp could not load {config['path']}: {exc}")
    address = server.listening_address
    alone = "isolation" in config  # it may not call itself: its parent measures
    rate = None if alone or not config["measure_prefill"] else _measure_prefill(address, config)
    ready(config, url=address, prefill_tokens_per_s=rate)
    threading.Event().wait()


def _start(xllamacpp: Any, config: dict[str, Any]) -> Any:
    """The server; without the template that came along, if llama.cpp cannot do anything with it."""
    try:
        return xllamacpp.Server(_params(xllamacpp, config))
    except RuntimeError:
        if not config["template"]:
            raise
        announce("progress", note="trying again with the file's own chat template")
        return xllamacpp.Server(_params(xllamacpp, config | {"template": ""}))


def _params(xllamacpp: Any, config: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = config["path"]
    params.model_alias = {config["alias"]}
    params.n_parallel = config["parallel"]
    params.n_ctx = config["ctx_size"] * config["parallel"]
    params.n_batch = params.n_ubatch = config["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.endpoint_slots = True
    params.offline = True
    params.ui = False
    params.fit_params = False
    if config["projector"]:
        params.mmproj.path = config["projector"]
    if config["template"]:
        params.chat_template = config["template"]
    params.lora_adapters = [_adapter(xllamacpp, path) for path in config["adapters"]]
    params.verbosity = 3  # below that llama.cpp does not say why a model failed
    return params


def _adapter(xllamacpp: Any, path: str) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, 1.0
    return adapter


def _measure_prefill(address: str, config: dict[str, Any]) -> float:
    """Read one real prompt of about a batch: proves the build, and says how fast it is here."""
    tokens = min(config["batch"], config["ctx_size"] // 2)
    body = {"prompt": [1 + i % 50 for i in range(tokens)], "n_predict": 1, "cache_prompt": False}
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        f"{address}/completion",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {config['api_key']}",
            "Content-Type": "application/json",
        },
    )
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with no_proxy.open(request, timeout=300) as response:
        timings = json.load(response)["timings"]
    return float(timings["prompt_per_second"])


if __name__ == "__main__":
    main()
