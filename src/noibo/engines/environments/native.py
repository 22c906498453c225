"""How llama.cpp is compiled for this processor: with the instruction sets that really run here.

ggml's own `GGML_NATIVE` goes by what the processor lists, and virtual machines list what dies when
it is used. AMX is never compiled in: it was seen to be listed, to be allowed, and to die.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

# A set, as `noibo.hardware.instructions` names it, and ggml's switch for it.
SWITCHES: Final = {
    "SSE4.2": "GGML_SSE42",
    "AVX": "GGML_AVX",
    "AVX2": "GGML_AVX2",
    "FMA": "GGML_FMA",
    "F16C": "GGML_F16C",
    "BMI2": "GGML_BMI2",
    "AVX-VNNI": "GGML_AVX_VNNI",
    "AVX-512VBMI": "GGML_AVX512_VBMI",
    "AVX-512VNNI": "GGML_AVX512_VNNI",
    "AVX-512BF16": "GGML_AVX512_BF16",
}
_WIDE: Final = frozenset({"AVX-512F", "AVX-512BW"})  # ggml's GGML_AVX512 uses both
_WITHOUT: Final = ("LLAMA_LLGUIDANCE", "LLAMA_BUILD_BORINGSSL")  # Rust, and a second TLS
_ARM: Final = {"DOTPROD": "dotprod", "I8MM": "i8mm", "FP16": "fp16", "BF16": "bf16", "SVE": "sve"}


def cmake_arguments(runs: Collection[str], *, arm: bool = False) -> tuple[str, ...]:
    """What cmake is told, for a processor that runs these sets. Every switch is said, on or off, so
    that none is guessed."""
    off = tuple(f"-D{name}=OFF" for name in (*_WITHOUT, "GGML_NATIVE"))
    if arm:
        more = "".join(f"+{name}" for named, name in _ARM.items() if named in runs)
        return (*off, f"-DGGML_CPU_ARM_ARCH=armv8.2-a{more}") if more else off
    wide = set(runs) >= _WIDE
    switches = {SWITCHES[name]: name in runs for name in SWITCHES}
    switches |= {  # a part of AVX-512 without its base is no processor that ggml compiles for
        switch: on and wide for switch, on in switches.items() if "AVX512" in switch
    }
    switches |= {"GGML_AVX512": wide, "GGML_AMX_TILE": False, "GGML_AMX_INT8": False}
    switches |= {"GGML_AMX_BF16": False}
    return (*off, *(f"-D{name}={'ON' if on else 'OFF'}" for name, on in switches.items()))


def build_name(arguments: Collection[str]) -> str:
    """What is compiled in, in a few words: `AVX2 FMA AVX512`."""
    on = [one.removeprefix("-DGGML_").removesuffix("=ON") for one in arguments if "=ON" in one]
    return " ".join(on) or "for this processor"
