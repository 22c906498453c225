"""Instruction sets run, or do not, in a child process; lists are read as systems write them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from noibo.hardware.instructions import X86, InstructionSet, listed, running, try_each
from noibo.hardware.machine import Cpu
from noibo.hardware.system import System
from tests.hardware.machines import machine

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
DIES = InstructionSet("DIES", (), bytes.fromhex("0f0bc3"))  # ud2: illegal on every processor
HANDS_BACK = InstructionSet("RET", (), b"\xc3")


@on_x86
def test_a_set_that_dies_does_not_run_and_the_others_are_tried_all_the_same() -> None:
    assert try_each([HANDS_BACK, DIES, X86[0], DIES, DIES]) == (("RET", X86[0].name), "")


@on_x86
def test_what_every_processor_of_today_lists_runs() -> None:
    said = listed(System())
    ran, problem = running(System(), said)
    assert problem == ""
    assert {"SSE4.2"} <= set(ran)
    assert {"AVX", "AVX2", "FMA"} & set(said) <= set(ran)


@on_x86
def test_code_of_a_wide_set_puts_its_registers_back() -> None:
    for one in X86:
        if one.name.startswith("AVX"):
            assert one.code.endswith(bytes.fromhex("c5f877c3")), one.name


def test_what_is_listed_and_did_not_run_is_told() -> None:
    cpu = Cpu("Xeon", 2, 2, ("AVX2",), ("AVX2", "AMX-INT8"))
    assert cpu.broken == ("AMX-INT8",)


def test_flags_of_linux(tmp_path: Path) -> None:
    text = "processor : 0\nflags\t\t: fpu sse4_2 avx avx2 fma f16c avx512_vnni amx_int8\n"
    found = listed(machine(tmp_path, {"proc/cpuinfo": text}))
    assert found == ("SSE4.2", "AVX", "AVX2", "FMA", "F16C", "AVX-512VNNI", "AMX-INT8")


def test_features_of_an_arm_machine_are_believed(tmp_path: Path) -> None:
    text = "Features\t: fp asimd evtstrm aes asimdhp asimddp sve i8mm bf16\n"
    system = machine(tmp_path, {"proc/cpuinfo": text}, kind="aarch64")
    said = listed(system)
    assert said == ("NEON", "FP16", "DOTPROD", "I8MM", "BF16", "SVE")
    assert running(system, said) == (said, "")


def test_features_of_an_apple_chip(tmp_path: Path) -> None:
    said = "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.neon: 1\n"
    system = machine(tmp_path, tools={"sysctl": said}, platform="darwin", kind="arm64")
    assert listed(system) == ("NEON", "DOTPROD")


def test_a_system_without_a_list_names_none(tmp_path: Path) -> None:
    assert listed(machine(tmp_path, platform="win32", kind="AMD64")) == ()
