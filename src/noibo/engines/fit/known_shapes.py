"""The layers of models that people ask for, from their makers' `config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """Of `every` layers the last sees all; the others see the last `window` tokens, or keep `fixed`
    bytes whatever the length. `latent` numbers are kept of a token instead of keys and values
    (MLA). `expert` is the width of one of `experts`. `wide` is a key in a layer that sees all, in
    numbers, where it is not as long as the others'; the last `borrowed` layers use the state of
    others. `beside` are parameters of each layer that are looked up for a token."""

    layers: int
    width: int
    within: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool = False
    window: int = 0
    every: int = 0  # the last of so many sees all
    experts: int = 0
    used: int = 0
    expert: int = 0
    latent: int = 0
    fixed: int = 0
    wide: int = 0
    borrowed: int = 0
    beside: int = 0

    @property
    def plain(self) -> bool:
        """Every layer keeps a key and a value of every token."""
        return not (self.window or self.fixed or self.latent)


def _delta(heads: int) -> int:
    """Bytes that a gated delta net with so many value heads keeps, in single precision: a matrix
    for each, and the last tokens of its convolution (Qwen3-Next, Qwen3.5)."""
    head, key_heads, reach = 128, 16, 4
    return 4 * ((reach - 1) * head * (heads + 2 * key_heads) + head * head * heads)


_QWEN, _LLAMA3, _GEMMA, _QWEN35 = 152_064, 128_256, 262_144, 248_320
_QWEN35_27B: Final = Shape(64, 5120, 17_408, 24, 4, 256, _QWEN35, every=4, fixed=_delta(48))
_QWEN35_35B: Final = Shape(
    *(40, 2048, 512, 16, 2, 256, _QWEN35),
    every=4,
    experts=256,
    used=8,
    expert=512,
    fixed=_delta(32),
)
# Name in the catalogue: parameters, shape.
KNOWN: Final[dict[str, tuple[int, Shape]]] = {
    "smollm2:135m": (134_515_008, Shape(30, 576, 1536, 9, 3, 64, 49_152, True)),
    "gemma3:270m": (
        268_098_176,
        Shape(18, 640, 2048, 4, 1, 256, _GEMMA, True, window=512, every=6),
    ),
    "smollm2:360m": (361_821_120, Shape(32, 960, 2560, 15, 5, 64, 49_152, True)),
    "qwen2.5:0.5b": (494_032_768, Shape(24, 896, 4864, 14, 2, 64, 151_936, True)),
    "qwen3:0.6b": (596_049_920, Shape(28, 1024, 3072, 16, 8, 128, 151_936, True)),
    "qwen3.5:0.8b": (
        870_000_000,
        Shape(24, 1024, 3584, 8, 2, 256, _QWEN35, True, every=4, fixed=_delta(16)),
    ),
    "gemma3:1b": (
        999_885_952,
        Shape(26, 1152, 6912, 4, 1, 256, _GEMMA, True, window=512, every=6),
    ),
    "tinyllama:1.1b": (1_100_048_384, Shape(22, 2048, 5632, 32, 4, 64, 32_000)),
    "llama3.2:1b": (1_235_814_400, Shape(16, 2048, 8192, 32, 8, 64, _LLAMA3, True)),
    "qwen2.5:1.5b": (1_543_714_304, Shape(28, 1536, 8960, 12, 2, 128, 151_936, True)),
    "smollm2:1.7b": (1_711_376_384, Shape(24, 2048, 8192, 32, 32, 64, 49_152, True)),
    "qwen3:1.7b": (1_720_574_976, Shape(28, 2048, 6144, 16, 8, 128, 151_936, True)),
    "qwen3.5:2b": (
        2_270_000_000,
        Shape(24, 2048, 6144, 8, 2, 256, _QWEN35, True, every=4, fixed=_delta(16)),
    ),
    "gemma2:2b": (
        2_614_341_888,
        Shape(26, 2304, 9216, 8, 4, 256, 256_000, True, window=4096, every=2),
    ),
    "qwen2.5:3b": (3_085_938_688, Shape(36, 2048, 11_008, 16, 2, 128, 151_936, True)),
    "llama3.2:3b": (3_212_749_824, Shape(28, 3072, 8192, 24, 8, 128, _LLAMA3, True)),
    "phi3:3.8b": (3_821_079_552, Shape(32, 3072, 8192, 32, 32, 96, 32_064)),
    "phi4-mini:3.8b": (3_836_021_760, Shape(32, 3072, 8192, 24, 8, 128, 200_064, True)),
    "ministral-3:3b": (3_850_000_000, Shape(26, 3072, 9216, 32, 8, 128, 131_072, True)),
    "qwen3:4b": (4_022_468_096, Shape(36, 2560, 9728, 32, 8, 128, 151_936, True)),
    "gemma3:4b": (
        3_880_263_168,
        Shape(34, 2560, 10_240, 8, 4, 256, _GEMMA, True, window=1024, every=6),
    ),
    "qwen3.5:4b": (
        4_660_000_000,
        Shape(32, 2560, 9216, 16, 4, 256, _QWEN35, True, every=4, fixed=_delta(32)),
    ),
    "gemma4:e2b": (
        5_100_000_000,
        Shape(
            *(35, 1536, 12_288, 8, 1, 256, _GEMMA, True),
            window=512,
            every=5,
            wide=512,
            borrowed=20,
            beside=256 * _GEMMA,
        ),
    ),
    "llama2:7b": (6_738_415_616, Shape(32, 4096, 11_008, 32, 32, 128, 32_000)),
    "mistral:7b": (7_248_023_552, Shape(32, 4096, 14_336, 32, 8, 128, 32_768)),
    "qwen2.5:7b": (7_615_616_512, Shape(28, 3584, 18_944, 28, 4, 128, _QWEN)),
    "gemma4:e4b": (
        8_000_000_000,
        Shape(
            *(42, 2560, 10_240, 8, 2, 256, _GEMMA, True),
            window=512,
            every=6,
            wide=2 * 512,
            borrowed=18,
            beside=256 * _GEMMA,
        ),
    ),
    "llama3:8b": (8_030_261_248, Shape(32, 4096, 14_336, 32, 8, 128, _LLAMA3)),
    "qwen3:8b": (8_190_735_360, Shape(36, 4096, 12_288, 32, 8, 128, 151_936)),
    "ministral-3:8b": (8_900_000_000, Shape(34, 4096, 14_336, 32, 8, 128, 131_072)),
    "gemma2:9b": (
        9_241_705_984,
        Shape(42, 3584, 14_336, 16, 8, 256, 256_000, True, window=4096, every=2),
    ),
    "qwen3.5:9b": (
        9_650_000_000,
        Shape(32, 4096, 12_288, 16, 4, 256, _QWEN35, every=4, fixed=_delta(32)),
    ),
    "gemma3:12b": (
        11_765_788_416,
        Shape(48, 3840, 15_360, 16, 8, 256, _GEMMA, True, window=1024, every=6),
    ),
    "gemma4:12b": (
        12_000_000_000,
        Shape(48, 3840, 15_360, 16, 8, 256, _GEMMA, True, window=1024, every=6, wide=512),
    ),
    "mistral-nemo:12b": (12_247_782_400, Shape(40, 5120, 14_336, 32, 8, 128, 131_072)),
    "llama2:13b": (13_015_864_320, Shape(40, 5120, 13_824, 40, 40, 128, 32_000)),
    "ministral-3:14b": (13_900_000_000, Shape(40, 5120, 16_384, 32, 8, 128, 131_072)),
    "phi4:14b": (14_659_507_200, Shape(40, 5120, 17_920, 40, 10, 128, 100_352)),
    "qwen2.5:14b": (14_770_033_664, Shape(48, 5120, 13_824, 40, 8, 128, _QWEN)),
    "qwen3:14b": (14_768_307_200, Shape(40, 5120, 17_408, 40, 8, 128, 151_936)),
    "gpt-oss:20b": (
        20_914_757_184,
        Shape(
            *(24, 2880, 2880, 64, 8, 64, 201_088),
            window=128,
            every=2,
            experts=32,
            used=4,
            expert=2880,
        ),
    ),
    "codestral:22b": (22_247_282_688, Shape(56, 6144, 16_384, 48, 8, 128, 32_768)),
    "mistral-small:24b": (23_572_403_200, Shape(40, 5120, 32_768, 32, 8, 128, 131_072)),
    "gemma4:26b": (
        25_200_000_000,
        Shape(
            *(30, 2816, 2112, 16, 8, 256, _GEMMA, True),
            window=1024,
            every=6,
            wide=2 * 512,
            experts=128,
            used=8,
            expert=704,
        ),
    ),
    "gemma3:27b": (
        27_009_002_240,
        Shape(62, 5376, 21_504, 32, 16, 128, _GEMMA, True, window=1024, every=6),
    ),
    "qwen3.5:27b": (27_780_000_000, _QWEN35_27B),
    "qwen3.6:27b": (27_780_000_000, _QWEN35_27B),
    "qwen3:30b": (
        30_532_122_624,
        Shape(48, 2048, 6144, 32, 4, 128, 151_936, experts=128, used=8, expert=768),
    ),
    "gemma4:31b": (
        30_700_000_000,
        Shape(60, 5376, 21_504, 32, 16, 256, _GEMMA, True, window=1024, every=6, wide=4 * 512),
    ),
    "qwen2.5:32b": (32_763_876_352, Shape(64, 5120, 27_648, 40, 8, 128, _QWEN)),
    "qwen3:32b": (32_762_123_264, Shape(64, 5120, 25_600, 64, 8, 128, 151_936)),
    "qwen3.5:35b": (35_950_000_000, _QWEN35_35B),
    "qwen3.6:35b": (35_950_000_000, _QWEN35_35B),
    "mixtral:8x7b": (
        46_702_792_704,
        Shape(32, 4096, 14_336, 32, 8, 128, 32_000, experts=8, used=2, expert=14_336),
    ),
    "llama3:70b": (70_553_706_496, Shape(80, 8192, 28_672, 64, 8, 128, _LLAMA3)),
    "qwen2.5:72b": (72_706_203_648, Shape(80, 8192, 29_568, 64, 8, 128, _QWEN)),
    "gpt-oss:120b": (
        116_829_156_672,
        Shape(
            *(36, 2880, 2880, 64, 8, 64, 201_088),
            window=128,
            every=2,
            experts=128,
            used=4,
            expert=2880,
        ),
    ),
    "qwen3.5:122b": (
        125_090_000_000,
        Shape(
            *(48, 3072, 1024, 32, 2, 256, _QWEN35),
            every=4,
            experts=256,
            used=8,
            expert=1024,
            fixed=_delta(64),
        ),
    ),
    "qwen3:235b": (
        235_093_634_560,
        Shape(94, 4096, 12_288, 64, 4, 128, 151_936, experts=128, used=8, expert=1536),
    ),
    "llama3.1:405b": (405_853_388_800, Shape(126, 16_384, 53_248, 128, 8, 128, _LLAMA3)),
    "deepseek-v3:671b": (
        671_026_419_200,
        Shape(
            *(61, 7168, 18_432, 128, 1, 192, 129_280),
            experts=256,
            used=8,
            expert=2048,
            latent=576,
        ),
    ),
}
