"""The child process that runs llama.cpp's server. Started by `noibo.engines.worker` only."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from noibo.engines.child import announce, fail, read_config, ready

LOADING = 4  # says what it puts where; below 3 llama.cpp does not say why a model failed
SERVING = 3


def main() -> None:
    config = read_config()
    announce("progress", note="importing llama.cpp")
    import xllamacpp

    announce("progress", note=f"loading {config['alias']}")
    try:
        server = _start(xllamacpp, config)
    except RuntimeError as exc:
        fail(f"llama.cpp could not load {config['path']}: {exc}")
    _say_less(xllamacpp)
    address = server.listening_address
    ready(config, url=address)
    threading.Event().wait()


def _start(xllamacpp: Any, config: dict[str, Any]) -> Any:
    """The server; with the next template, where llama.cpp cannot do anything with one: what was
    made of it, what came along, the file's own."""
    first, *others = dict.fromkeys((config["template"], config["given_template"], ""))
    try:
        return xllamacpp.Server(_params(xllamacpp, config | {"template": first}))
    except RuntimeError:
        if not others:
            raise
        which = "the chat template that came along" if others[0] else "the file's own chat template"
        announce("progress", note=f"trying again with {which}")
        return _start(xllamacpp, config | {"template": others[0], "given_template": others[-1]})


def _params(xllamacpp: Any, config: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = config["path"]
    params.model_alias = {config["alias"]}
    params.n_parallel = config["parallel"]
    params.n_ctx = config["ctx_size"] * config["parallel"]
    params.n_batch = params.n_ubatch = config["batch"]
    _shape_state(xllamacpp, params, config)
    _place(xllamacpp, params, config.get("gpu") or {})
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
    if not _thinks_by_itself(config["template"] or config["own_template"]):
        params.enable_reasoning = 0  # a request that wants it says so
    params.lora_adapters = [_adapter(xllamacpp, path) for path in config["adapters"]]
    if pooling := config.get("pooling"):
        _give_vectors(xllamacpp, params, pooling)
    params.verbosity = SERVING if _said_from(xllamacpp) is None else LOADING
    return params


def _shape_state(xllamacpp: Any, params: Any, config: dict[str, Any]) -> None:
    """How the state of conversations is held, and how much of it beyond the slots' own.

    Slots are cut off from each other (`kv_unified` off, as it is): each caller has its context,
    whatever the others do. `cache_idle_slots` copies the state of every slot that rests when
    another one starts: memory for the same state twice, and it brought back nothing that was not
    brought back without it (docs/memory.md): what is about to be overwritten is kept anyway.
    `n_cache_reuse` moves pieces of a changed prompt to other places, which changes answers;
    `slot_prompt_similarity` stays: from a tenth on, a slot is taken for the same conversation.
    """
    q8_0 = config["kv_type"] == "q8_0"
    types, attention = xllamacpp.ggml_type, xllamacpp.llama_flash_attn_type
    params.cache_type_k = types.GGML_TYPE_Q8_0 if q8_0 else types.GGML_TYPE_F16
    params.cache_type_v = params.cache_type_k
    if q8_0:  # values are held in blocks only with flash attention: never a silent f16
        params.flash_attn_type = attention.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.ctx_shift = False  # what does not fit is not forgotten unsaid: docs/context.md
    params.cont_batching = True
    params.cache_prompt = True
    params.cache_ram_mib = config["cache_ram_mib"]  # 0 is none; its default is 8 GiB
    params.cache_idle_slots = False
    params.n_ctx_checkpoints = config["checkpoints"]
    params.warmup = True  # all of the model is in memory when it is said to be ready


def _place(xllamacpp: Any, params: Any, gpu: dict[str, Any]) -> None:
    """Layers to the GPUs, as they were placed: said of none, llama.cpp would put all it can on the
    first, and fail where they do not fit. Nothing is said where the engine has no GPU."""
    if not gpu:
        return
    params.n_gpu_layers = gpu["layers"]
    params.main_gpu = gpu["main"]
    params.mmproj_use_gpu = gpu["projector"]
    if gpu["split"]:
        room = len(params.tensor_split)
        params.tensor_split = [*gpu["split"], *[0.0] * room][:room]
        params.split_mode = xllamacpp.llama_split_mode.LLAMA_SPLIT_MODE_LAYER


def _give_vectors(xllamacpp: Any, params: Any, pooling: str) -> None:
    """Vectors of whole inputs instead of text, from one pool of state: see `llama_embed`."""
    params.embedding = True
    params.pooling_type = getattr(
        xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}"
    )
    params.kv_unified = True


def _thinks_by_itself(template: str) -> bool:
    """What a template does that is told nothing; llama.cpp always tells it something."""
    if "enable_thinking" not in template:
        return True
    from noibo.engines.chat_template import thinks_by_itself  # Jinja: not in every worker

    return thinks_by_itself(template)


def _said_from(xllamacpp: Any) -> ctypes.c_int | None:
    """The engine's own number of what it says; None in a build that does not show it."""
    try:
        library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        return ctypes.c_int.in_dll(library, "common_log_verbosity_thold")
    except (OSError, ValueError, AttributeError):
        return None


def _say_less(xllamacpp: Any) -> None:
    """From now on nothing about single requests but how long they took."""
    threshold = _said_from(xllamacpp)
    if threshold is not None:
        threshold.value = SERVING


def _adapter(xllamacpp: Any, path: str) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, 1.0
    return adapter


if __name__ == "__main__":
    main()
