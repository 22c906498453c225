"""The words in which usage is reported, in English and in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["en", "vi"]


@dataclass(frozen=True, slots=True)
class Words:
    """Texts with places for numbers and names."""

    by: Mapping[str, str]  # heading of the first column
    columns: Mapping[str, str]
    total: str
    unknown: str
    part: str  # a sum that something is missing in
    nothing: str
    share: str
    no_share: str
    no_reference: str
    no_price: str
    saved: str
    saved_part: str
    saved_unknown: str
    lost: str
    uncounted: str
    measured: str
    setups: Mapping[str, str]
    compared: Mapping[str, str]
    never: str
    in_month: str
    basis: str
    basis_part: str
    basis_uncounted: str
    basis_said: str
    limits: Mapping[str, str]
    no_limits: str


_EN: Final = Words(
    by={
        "day": "DAY",
        "user": "USER",
        "key": "KEY",
        "model": "MODEL",
        "route": "ROUTE",
        "label": "LABEL",
        "destination": "DESTINATION",
    },
    columns={
        "calls": "CALLS",
        "local": "LOCAL",
        "failed": "FAILED",
        "input": "TOKENS IN",
        "output": "TOKENS OUT",
        "api": "API",
        "here": "HERE",
    },
    total="all",
    unknown="unknown",
    part="{known} + {count} unknown",
    nothing="Nothing was asked in that time.",
    share="{local:,} of {all:,} answered requests were answered here: {share:.0%}.",
    no_share="No request was answered.",
    no_reference="What that saved is not known: name a model to compare with, as --against "
    "openai/gpt-4o-mini (usage.reference).",
    no_price="What that saved is not known: {name} has no known price (`noibo usage prices`).",
    saved="At {name} (prices of {day}) these answers would have cost {instead}; here they cost "
    "{here}: {saved} saved.",
    saved_part="At {name} (prices of {day}) these answers would have cost {instead}; here they "
    "cost {here}: {saved} saved at most.",
    saved_unknown="At {name} (prices of {day}) these answers would have cost {instead}; what they "
    "cost here is not known: set usage.watts, usage.kwh_price and usage.hardware_price.",
    lost="At {name} (prices of {day}) these answers would have cost {instead}; here they cost "
    "{here}: {saved} more.",
    uncounted="{count:,} of them have no count of tokens, and no part in that.",
    measured="This machine's {watts} W were measured ({by}).",
    setups={"api": "100% API", "hybrid": "hybrid ({share:.0%} local)", "local": "100% local"},
    compared={
        "setup": "SETUP",
        "hardware": "HARDWARE, ONCE",
        "api": "API",
        "electricity": "ELECTRICITY",
        "month": "A MONTH",
        "spread": "WITH HARDWARE",
        "even": "PAID BACK",
    },
    never="never",
    in_month="month {month}",
    basis="From the calls of {days} days, as a month of 30.4; everything to the API at {name}.",
    basis_part="Of {count:,} calls of the API the cost is not known, and has no part in it.",
    basis_uncounted="{count:,} answers of this machine have no count of tokens, and no part in it.",
    basis_said="From what was said.",
    limits={
        "whose": "WHOSE",
        "period": "PERIOD",
        "limit": "LIMIT",
        "spent": "SPENT",
        "reserved": "RESERVED",
        "over": "WHEN IT IS OVER",
        "hour": "the last hour",
        "local": "answered locally",
        "refuse": "refused",
        "calls": "{count} calls",
    },
    no_limits="There is no budget. [budgets.all] with month = 20 in noibo.toml makes one.",
)
_VI: Final = Words(
    by={
        "day": "NGÀY",
        "user": "NGƯỜI DÙNG",
        "key": "KHÓA",
        "model": "MÔ HÌNH",
        "route": "TUYẾN",
        "label": "NHÃN",
        "destination": "NƠI ĐẾN",
    },
    columns={
        "calls": "LƯỢT GỌI",
        "local": "TẠI CHỖ",
        "failed": "LỖI",
        "input": "TOKEN VÀO",
        "output": "TOKEN RA",
        "api": "API",
        "here": "MÁY NÀY",
    },
    total="tất cả",
    unknown="chưa rõ",
    part="{known} + {count} lượt chưa rõ",
    nothing="Không có lượt hỏi nào trong thời gian đó.",
    share="{local:,} trên {all:,} yêu cầu được trả lời tại máy này: {share:.0%}.",
    no_share="Chưa có yêu cầu nào được trả lời.",
    no_reference="Chưa biết tiết kiệm được bao nhiêu: hãy nêu mô hình để so, ví dụ --against "
    "openai/gpt-4o-mini (usage.reference).",
    no_price="Chưa biết tiết kiệm được bao nhiêu: không rõ giá của {name} (`noibo usage prices`).",
    saved="Nếu dùng {name} (giá ngày {day}), các câu trả lời này tốn {instead}; tại đây tốn "
    "{here}: tiết kiệm {saved}.",
    saved_part="Nếu dùng {name} (giá ngày {day}), các câu trả lời này tốn {instead}; tại đây tốn "
    "{here}: tiết kiệm nhiều nhất {saved}.",
    saved_unknown="Nếu dùng {name} (giá ngày {day}), các câu trả lời này tốn {instead}; chi phí "
    "tại đây chưa rõ: hãy đặt usage.watts, usage.kwh_price và usage.hardware_price.",
    lost="Nếu dùng {name} (giá ngày {day}), các câu trả lời này tốn {instead}; tại đây tốn "
    "{here}: đắt hơn {saved}.",
    uncounted="{count:,} câu trong số đó không có số token nên không được tính.",
    measured="{watts} W của máy này là số đo được ({by}).",
    setups={"api": "100% API", "hybrid": "kết hợp ({share:.0%} tại chỗ)", "local": "100% tại chỗ"},
    compared={
        "setup": "CÁCH LÀM",
        "hardware": "PHẦN CỨNG, MỘT LẦN",
        "api": "API",
        "electricity": "ĐIỆN",
        "month": "MỖI THÁNG",
        "spread": "KỂ CẢ PHẦN CỨNG",
        "even": "HÒA VỐN",
    },
    never="không bao giờ",
    in_month="tháng thứ {month}",
    basis="Theo các lượt gọi trong {days} ngày, quy ra tháng 30,4 ngày; 100% API tính theo {name}.",
    basis_part="{count:,} lượt gọi API chưa rõ chi phí nên không được tính.",
    basis_uncounted="{count:,} câu trả lời của máy này không có số token nên không được tính.",
    basis_said="Theo các con số đã nêu.",
    limits={
        "whose": "CỦA AI",
        "period": "KỲ",
        "limit": "HẠN MỨC",
        "spent": "ĐÃ CHI",
        "reserved": "ĐANG GIỮ",
        "over": "KHI HẾT",
        "hour": "một giờ qua",
        "local": "trả lời tại chỗ",
        "refuse": "từ chối",
        "calls": "{count} lượt",
    },
    no_limits="Chưa có hạn mức. Thêm [budgets.all] với month = 20 vào noibo.toml để đặt.",
)
WORDS: Final[Mapping[Language, Words]] = {"en": _EN, "vi": _VI}
