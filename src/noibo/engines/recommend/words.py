"""The words in which recommendations are given, in English and in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from noibo.engines.recommend.tiers import TIERS

Language = Literal["en", "vi"]


@dataclass(frozen=True, slots=True)
class Words:
    """Texts with places for numbers and names. `about` are the headings of the reasons; `tiers` are
    names of tiers and what each is good for; `unnamed` is a processor that was not named."""

    about: Mapping[str, str]
    machine: str
    unnamed: str
    tiers: Mapping[str, tuple[str, str]]
    of_tier: str
    nothing: str
    beside: str
    more: str
    order: str
    tight: str
    whole: str
    part: str
    memory: str
    crowded: str
    slow: str
    decode: str
    prefill: str
    active: str
    quality: str
    losses: tuple[str, str, str, str]
    made_for: str
    named: str
    not_named: str
    licences: Mapping[str, str]
    read_first: str
    engine: str
    divided: str
    gated: str


_EN: Final = Words(
    about={
        "fits": "fits",
        "speed": "speed",
        "quality": "quality",
        "vietnamese": "vietnamese",
        "licence": "licence",
        "engine": "engine",
        "access": "access",
        "next": "next",
    },
    machine="{memory} GB of memory, {processor} with {cores} cores",
    unnamed="ordinary processor",
    tiers={tier.name: (tier.name, tier.good_for) for tier in TIERS},
    of_tier="{machine}: {name} tier, good for {good_for}.",
    nothing="Nothing of the catalogue that is for {use} fits there.",
    beside="To search your documents with, beside it: `{command}`",
    more="With more ({name} tier, {example}): {model}.",
    order="Ordered by size, age and bits, not by tests: `noibo bench` measures.",
    tight="tight",
    whole="takes {takes}, whole on the GPU with {left} to spare",
    part="takes {takes}, {some} of {all} layers on the GPU, the rest in memory, {left} to spare",
    memory="takes {takes} of the memory, {left} to spare",
    crowded="up to {most} may be wanted, and models may take {may} here",
    slow="about {rate:.1f} tokens/s are slower than one reads",
    decode="about {rate:.0f} tokens/s",
    prefill="reads prompts at {rate:,.0f} tokens/s",
    active="{size} ({active} active)",
    quality="{size} of {released}; {quantisation} {loss}",
    losses=(
        "loses nothing to speak of",
        "loses hardly anything",
        "is the usual compromise",
        "loses a good deal: it fits no better",
    ),
    made_for="made for it",
    named="named by its maker",
    not_named="not named by its maker",
    licences={
        "permissive": "free for business",
        "copyleft": "free for business, changes under the same licence",
        "rail": "free for business, harmful uses excepted",
        "llama": "business below 700 million users",
        "gemma": "business under Google's list of uses",
        "community": "business under conditions",
        "non-commercial": "not for business",
        "research": "for research only",
    },
    read_first="read it first",
    engine="run by {engine}, the fastest for many callers on this card",
    divided="run by {engine} over {count} cards, with "
    "`vllm = {{ tensor_parallel = {count} }}` for it in noibo.toml",
    gated="its maker wants a sign-in and an accepted licence first",
)
_VI: Final = Words(
    about={
        "fits": "vừa máy",
        "speed": "tốc độ",
        "quality": "chất lượng",
        "vietnamese": "tiếng Việt",
        "licence": "giấy phép",
        "engine": "bộ chạy",
        "access": "truy cập",
        "next": "lệnh",
    },
    machine="{memory} GB RAM, {processor} {cores} nhân",
    unnamed="bộ xử lý thông thường",
    tiers={
        "below minimum": (
            "dưới mức tối thiểu",
            "mô hình đến 4B, hoặc loại hỗn hợp (MoE) chỉ dùng một phần nhỏ cho mỗi token",
        ),
        "minimum": ("mức tối thiểu", "mô hình 7–14B ở 4 đến 8 bit, nằm trọn trên card"),
        "recommended": ("mức khuyến nghị", "mô hình đến 32B ở 4 bit, 14B ở 8 bit"),
        "optimal": ("mức tối ưu", "mô hình 32B ở 8 bit, 70B ở 4 bit, nhiều người dùng cùng lúc"),
    },
    of_tier="{machine}: {name}, hợp với {good_for}.",
    nothing="Danh mục không có mô hình nào cho {use} vừa với máy này.",
    beside="Để tìm trong tài liệu của bạn, chạy cùng: `{command}`",
    more="Nếu máy mạnh hơn ({name}, {example}): {model}.",
    order="Xếp theo kích thước, năm ra đời và số bit, không theo bài thử: `noibo bench` mới đo.",
    tight="vừa sát",
    whole="cần {takes}, nằm trọn trên GPU, còn dư {left}",
    part="cần {takes}, {some}/{all} lớp trên GPU, phần còn lại trong RAM, còn dư {left}",
    memory="cần {takes} RAM, còn dư {left}",
    crowded="có thể cần đến {most}, mà mô hình chỉ được dùng {may} ở đây",
    slow="khoảng {rate:.1f} token/s, chậm hơn tốc độ người đọc",
    decode="khoảng {rate:.0f} token/s",
    prefill="đọc câu hỏi {rate:,.0f} token/s",
    active="{size} (mỗi token dùng {active})",
    quality="{size}, {released}; {quantisation} {loss}",
    losses=(
        "gần như không mất chất lượng",
        "mất rất ít",
        "là mức cân bằng thường dùng",
        "mất khá nhiều, nhưng bản nhiều bit hơn không vừa",
    ),
    made_for="được làm riêng cho tiếng Việt",
    named="nhà làm mô hình nêu có hỗ trợ",
    not_named="nhà làm mô hình không nêu",
    licences={
        "permissive": "dùng được cho kinh doanh",
        "copyleft": "dùng được cho kinh doanh, bản sửa đổi phải giữ giấy phép",
        "rail": "dùng được cho kinh doanh, trừ mục đích gây hại",
        "llama": "kinh doanh dưới 700 triệu người dùng",
        "gemma": "kinh doanh theo danh sách của Google",
        "community": "kinh doanh có điều kiện",
        "non-commercial": "không dùng cho kinh doanh",
        "research": "chỉ để nghiên cứu",
    },
    read_first="hãy đọc trước",
    engine="chạy bằng {engine}, nhanh nhất khi nhiều người gọi trên card này",
    divided="chạy bằng {engine} trên {count} card, cần "
    "`vllm = {{ tensor_parallel = {count} }}` cho nó trong noibo.toml",
    gated="phải đăng nhập và chấp nhận giấy phép của nhà làm mô hình trước",
)
WORDS: Final[Mapping[Language, Words]] = {"en": _EN, "vi": _VI}
