"""Instruction sets that really run here, not those that a list names.

A virtual machine may list what dies when it is used: AMX does on some. So a child process runs a
few bytes of machine code of each set; where it is killed, the set does not run, and the next child
goes on with the others. On ARM, where nobody was seen to lie, the system's list is believed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from noibo.hardware.system import System
from noibo.settings import bare_environment, python_executable

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """What engines' builds call it, the system's words for it, and code that uses it once. The
    code changes only registers that a called function may change. `tiles`: Linux must be asked
    first, and what it reads stands 64 bytes after its beginning."""

    name: str
    flags: tuple[str, ...]
    code: bytes
    tiles: bool = False


def _plain(name: str, flags: str, code: str) -> InstructionSet:
    return InstructionSet(name, tuple(flags.split()), bytes.fromhex(code + "c3"))


def _wide(name: str, flags: str, code: str) -> InstructionSet:
    """With `vzeroupper` before it returns, as code for such registers must."""
    return _plain(name, flags, code + "c5f877")


def _tiled(name: str, flags: str, product: str) -> InstructionSet:
    """ldtilecfg [rip+55]; tilezero of three tiles; the product; tilerelease; ret. Then, at 64, the
    shape: palette 1, and three tiles of 16 rows of 64 bytes."""
    body = "c4e2784905370000 00 c4e27b49c0 c4e27b49c8 c4e27b49d0".replace(" ", "")
    code = bytes.fromhex(body + product + "c4e27849c0c3").ljust(64, b"\x90")
    shape = bytearray(64)
    shape[0] = 1
    shape[16:22] = b"\x40\x00" * 3
    shape[48:51] = b"\x10" * 3
    return InstructionSet(name, tuple(flags.split()), code + bytes(shape), tiles=True)


# In each line: the name, the flags of Linux and macOS, and one instruction of the set.
X86: Final = (
    _plain("SSE4.2", "sse4_2 SSE4.2", "660f3837c0"),  # pcmpgtq xmm0, xmm0
    _wide("AVX", "avx AVX1.0", "c5fc58c0"),  # vaddps ymm0, ymm0, ymm0
    _wide("AVX2", "avx2 AVX2", "c5fdfec0"),  # vpaddd ymm0, ymm0, ymm0
    _wide("FMA", "fma FMA", "c4e27db8c0"),  # vfmadd231ps ymm0, ymm0, ymm0
    _wide("F16C", "f16c F16C", "c4e27d13c0"),  # vcvtph2ps ymm0, xmm0
    _plain("BMI2", "bmi2 BMI2", "c4e27bf5c0"),  # pdep eax, eax, eax
    _wide("AVX-VNNI", "avx_vnni AVX_VNNI", "c4e27d50c0"),  # vpdpbusd ymm0, ymm0, ymm0
    _wide("AVX-512F", "avx512f AVX512F", "62f17d48fec0"),  # vpaddd zmm0, zmm0, zmm0
    _wide("AVX-512BW", "avx512bw AVX512BW", "62f17d48fcc0"),  # vpaddb zmm0, zmm0, zmm0
    _wide("AVX-512VBMI", "avx512vbmi AVX512VBMI", "62f27d488dc0"),  # vpermb zmm0, zmm0, zmm0
    _wide("AVX-512VNNI", "avx512_vnni AVX512VNNI", "62f27d4850c0"),  # vpdpbusd zmm0, zmm0, zmm0
    _wide("AVX-512BF16", "avx512_bf16 AVX512_BF16", "62f27e4852c0"),  # vdpbf16ps zmm0, zmm0, zmm0
    _tiled("AMX-INT8", "amx_int8", "c4e26b5ec1"),  # tdpbssd tmm0, tmm1, tmm2
    _tiled("AMX-BF16", "amx_bf16", "c4e26a5cc1"),  # tdpbf16ps tmm0, tmm1, tmm2
)
_ARM: Final = {
    "NEON": "asimd AdvSIMD neon",
    "FP16": "asimdhp FEAT_FP16",
    "DOTPROD": "asimddp FEAT_DotProd",
    "I8MM": "i8mm FEAT_I8MM",
    "BF16": "bf16 FEAT_BF16",
    "SVE": "sve",
    "SVE2": "sve2",
    "SME": "sme FEAT_SME",
}

# Runs the sets it is given, each named before it is tried: what it was at when it died is known.
_CHILD: Final = """
import ctypes, json, mmap, sys
def memory(code):
    if sys.platform == "win32":
        reserve = ctypes.windll.kernel32.VirtualAlloc
        reserve.restype = ctypes.c_void_p
        reserve.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong, ctypes.c_ulong]
        place = reserve(None, 4096, 0x3000, 0x40)
        ctypes.memmove(place, code, len(code))
        return place, None
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    return ctypes.addressof(ctypes.c_char.from_buffer(page)), page
for name, code, tiles in json.load(sys.stdin):
    print(name, flush=True)
    if tiles and sys.platform == "linux" and ctypes.CDLL(None).syscall(158, 0x1023, 18):
        print("no", flush=True)  # arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA): Linux refuses
        continue
    place, page = memory(bytes.fromhex(code))
    try:
        ctypes.CFUNCTYPE(None)(place)()
    except OSError:  # Windows raises where others kill
        print("no", flush=True)
        continue
    print("ran", flush=True)
"""


def listed(system: System) -> tuple[str, ...]:
    """The sets that the system says there are; none where it has no list."""
    words = _words(system)
    if system.is_arm:
        return tuple(name for name, flags in _ARM.items() if words & set(flags.split()))
    return tuple(one.name for one in X86 if words & set(one.flags))


def running(system: System, said: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The sets that ran, and in a line why they could not be tried where that is so."""
    if not system.is_x86:
        return said, ""
    ran, problem = try_each(X86)
    if problem:
        return (), f"The instruction sets could not be tried ({problem}): only listed is known."
    return ran, ""


def try_each(sets: Sequence[InstructionSet]) -> tuple[tuple[str, ...], str]:
    """Try every set in child processes; names of those that ran, and what stood in the way."""
    ran: list[str] = []
    left = list(sets)
    while left:
        lines, problem = _child(left)
        if not lines:
            return (), problem or "the child process said nothing"
        tried = [line for line in lines if line not in {"ran", "no"}]
        pairs = zip(lines, [*lines[1:], ""], strict=True)
        ran += [name for name, result in pairs if result == "ran" and name in tried]
        left = left[len(tried) :]  # the one it died at does not run
    return tuple(ran), ""


def _child(sets: Sequence[InstructionSet]) -> tuple[list[str], str]:
    rows = [[one.name, one.code.hex(), one.tiles] for one in sets]
    try:
        done = subprocess.run(
            [python_executable(), "-I", "-S", "-c", _CHILD],
            env=bare_environment(),
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        said = exc.stdout or b""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return text.split("\n")[:-1], "it did not end"
    except OSError as exc:
        return [], str(exc)
    if "Error" in done.stderr and not done.stdout.count("ran"):
        return [], done.stderr.strip().splitlines()[-1][:120]
    return done.stdout.split(), ""


def _words(system: System) -> set[str]:
    """Every word of the system's own list."""
    if system.platform == "darwin":
        if system.is_arm:
            text = system.run(("sysctl", "hw.optional")).text
            on = re.findall(r"hw\.optional\.(?:arm\.|)(\w+): 1\b", text)
            return {*on, "neon"}
        names = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
        return set(system.run(("sysctl", "-n", *names)).text.split())
    for line in system.text("proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return set(value.split())
    return set()
