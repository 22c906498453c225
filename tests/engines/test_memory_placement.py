"""What llama.cpp's log says of what it put where."""

from __future__ import annotations

from noibo.engines.memory.placement import MIB, placed

CPU = """\
0.00.016.200 I cmn  common_param: system_info: n_threads = 2 (n_threads_batch = 2) / 2 | CPU :
0.01.605.254 I print_info: n_layer               = 18
0.01.605.254 I print_info: n_layer_all           = 18
0.01.677.132 I load_tensors:   CPU_Mapped model buffer size =   235.16 MiB
0.01.677.153 I load_tensors:   CPU_REPACK model buffer size =    12.66 MiB
0.01.726.952 I llama_context: n_ctx                 = 8192
0.01.726.952 I llama_context: n_ctx_seq             = 2048
0.01.726.955 I llama_context: flash_attn            = auto
0.01.727.596 I llama_context:        CPU  output buffer size =     4.00 MiB
0.01.727.985 I llama_kv_cache:        CPU KV buffer size =    24.00 MiB
0.01.773.142 I llama_kv_cache:        CPU KV buffer size =    45.00 MiB
0.01.789.429 I resolve_fused_ops: Flash Attention enabled
0.01.796.635 I sched_reserve:        CPU compute buffer size =     5.25 MiB
"""
GPU = """\
print_info: n_layer          = 32
load_tensors: offloading 20 repeating layers to GPU
load_tensors: offloaded 20/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =  1500.00 MiB
load_tensors:        CUDA0 model buffer size =  2500.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =   320.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =    10.00 MiB
llama_context:      CUDA0 compute buffer size =   258.50 MiB
llama_context:  CUDA_Host compute buffer size =    16.00 MiB
llama_context: flash_attn    = disabled
"""


def test_all_on_the_processor() -> None:
    assert placed(CPU.splitlines()) == {
        "device": "cpu",
        "context": 2048,
        "threads": 2,
        "flash_attention": True,
        "devices": {
            "cpu": {
                "layers": 18,
                "weights": round(235.16 * MIB) + round(12.66 * MIB),
                "kv": 69 * MIB,
                "compute": round(9.25 * MIB),
            }
        },
    }


def test_layers_on_a_graphics_card() -> None:
    facts = placed(GPU.splitlines())
    assert facts["device"] == "cpu, CUDA0"
    assert facts["devices"]["CUDA0"] == {
        "layers": 20,
        "weights": 2500 * MIB,
        "kv": 330 * MIB,
        "compute": round(258.5 * MIB),
    }
    assert facts["devices"]["cpu"] == {"layers": 12, "weights": 1500 * MIB, "compute": 16 * MIB}
    assert facts["flash_attention"] is False


def test_lines_that_are_not_known_change_nothing() -> None:
    odd = ["", "buffer size = MiB", "CPU model buffer size = 1.2.3 MiB x", "n_layer = many", "\x00"]
    assert placed(odd[:2]) == {}
    more = [line for known in CPU.splitlines() for line in (odd[0], known, odd[3], odd[4])]
    assert placed(more) == placed(CPU.splitlines())
