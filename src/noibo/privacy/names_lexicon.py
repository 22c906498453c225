"""The words that names are made of, and those that stand around them.

The lists lie beside this package in `data/` and are read when the first name is looked for. A word
is judged once and its kinds are kept, so that a long text costs one dictionary look-up a word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

KEPT_WORDS = 50_000


# What a word can be, as bits; most words of names are several things at once.
SURNAME_VI: Final = 1
GIVEN_VI: Final = 2
GIVEN: Final = 4
SURNAME: Final = 8
COMMON: Final = 16
PLACE: Final = 32
ORGANISATION: Final = 64
HONORIFIC: Final = 128
FUNCTION: Final = 256
CALENDAR: Final = 512
OTHER_VIETNAMESE: Final = 1024  # a syllable of Vietnamese that no name has
FREQUENT_SURNAME_VI: Final = 2048
STREET: Final = 4096


HONORIFICS = frozenset(
    "shipper sếp ông bà anh chị cô chú bác em bạn bé cháu cậu dì mợ thím dượng thầy cụ ngài quý mr mrs ms miss "
    "dr prof sir madam mister doctor professor ong ba chi co chu bac thay "
    "sr captain officer president senator judge reverend uncle aunt ths ts bs gs pgs ks luật".split()
)
ORGANISATIONS = frozenset(
    "inc ltd llc corp corporation co company gmbh group bank university college school institute "
    "hospital club band album committee ministry department agency association foundation museum "
    "church airport station hotel park stadium bridge river lake mountain island street road "
    "avenue league union party council court orchestra office technologies technology systems solutions "
    "services partners holdings capital media insurance energy analytics software labs studio "
    "records magazine times news press journal award prize act treaty war battle festival theatre "
    "orchestra choir theater center centre tower building plaza mall county province district city town village "
    "ward state republic kingdom empire university ocean sea valley delta "
    "đh thpt thcs bv ubnd hđnd cty công ty tập đoàn trường đại học viện ngân hàng tnhh cp tmcp jsc".split()
) - {"ty", "hàng", "học", "đoàn", "công", "viện", "trường", "đại", "tập", "ngân"}
STREETS = frozenset(
    "đường phố phường quận huyện xã thôn ấp xóm ngõ hẻm ngách kiệt tỉnh chợ chùa cầu sông núi thpt "
    "thcs kcn kđt toà tòa khu lô đảo vịnh đèo quốc_lộ duong phuong_ quan_ huyen tx tt hem ngo_ "
    "rue rua via calle avenida strada boulevard ul".split()
)
FUNCTION_WORDS = frozenset(
    "a an the this that these those i you he she it we they me him her us them my your his its our "
    "their mine yours who whom whose which what when where why how there here is are was were be "
    "been being am do does did has have had can could shall should would must of in on at by for "
    "from to with without about into over under after before between during since until through "
    "and or but nor so yet if then than because although while as not no yes please thanks thank "
    "hello hi hey dear ok okay also just only very too all any some each every both few many much "
    "more most other another such own same let let's new old i'm i'll i've i'd it's that's what's "
    "we're we've you're don't can't didn't user apt suite unit box flat floor zip po bot note name date phone address email subject "
    "tôi tao mày mình chúng ta họ nó và với của là thì mà nhưng nếu khi để từ tại trong ngoài trên "
    "dưới theo về cho đến tới đã đang sẽ không chưa có được bị phải hãy xin vui kính gửi chào thưa "
    "thân này kia đó ấy hôm nay mai qua những các một mọi mỗi vì do nên rồi cũng rất quá giúp nhờ "
    "hỏi viết dịch đọc toi cua khong duoc ten tuy ngay vậy sau trước nhiều ít lúc đây cả chỉ lại vẫn còn đều ai gì nào đâu bao mấy rằng dù mặc bởi "
    "nhằm giữa càng luôn hơn nữa thêm nói nhìn thấy biết làm gồm thuộc loại tất sinh số ngày tháng năm giờ địa điện thoại họ_tên".split()
) - {"mai", "qua", "họ", "thân", "hà", "từ", "do", "đến", "sinh", "giờ", "hôm", "năm", "co"}
CALENDAR_WORDS = frozenset(
    "january february march april may june july august september october november december "
    "monday tuesday wednesday thursday friday saturday sunday jan feb mar apr jun jul aug sep sept "
    "oct nov dec mon tue wed thu fri sat sun christmas easter thanksgiving halloween tết "
    "american british english scottish irish welsh french german italian spanish portuguese dutch "
    "belgian swiss austrian swedish norwegian danish finnish icelandic polish czech slovak hungarian "
    "romanian bulgarian greek turkish russian ukrainian serbian croatian slovenian estonian latvian "
    "lithuanian european asian african australian canadian mexican brazilian argentinian chilean "
    "peruvian colombian cuban chinese japanese korean vietnamese thai indian pakistani indonesian "
    "malaysian filipino egyptian moroccan tunisian nigerian kenyan iranian iraqi israeli saudi arab "
    "arabic hebrew latin jewish muslim christian catholic buddhist hindu greenlander cypriot "
    "roman persian mongol norman viking ottoman islamic byzantine victorian soviet nazi gothic celtic "
    "earth moon mars venus jupiter bible quran normans mongols romans vikings moreover "
    "internet google facebook youtube twitter microsoft apple amazon zalo tiktok iphone android "
    "windows linux python java excel word powerpoint vietcombank techcombank vietinbank agribank "
    "bidv sacombank vpbank tpbank hdbank acb mbbank cccd cmnd cmt mst bhyt bhxh sđt đt tp ubnd hđqt "
    "tnhh stk dob id tax ssn iban vat usd vnd eur zip fax tel mobile".split()
)


def bare(word: str) -> str:
    """`word` without its diacritics: `Nguyễn` and `Nguyen` are one surname."""
    apart = unicodedata.normalize("NFD", word.replace("đ", "d").replace("Đ", "D"))
    return "".join(c for c in apart if not unicodedata.combining(c))


def read(name: str) -> str:
    """A list in `data/` but for the comments at its head."""
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    while text.startswith("#"):
        text = text.partition("\n")[2]
    return text


@cache
def words(name: str) -> frozenset[str]:
    """A list of single words."""
    return frozenset(read(name).split())


@cache
def phrases(*names: str) -> frozenset[str]:
    """Lists of phrases between semicolons, in lower case, with diacritics and without."""
    found = {p.strip().lower() for name in names for p in read(name).replace("\n", ";").split(";")}
    return frozenset(found | {bare(phrase) for phrase in found if len(phrase) > 3})


@cache
def capitals() -> str:
    """Capital letters of the Latin, Greek, Cyrillic and Armenian scripts, for a character class."""
    ranges = (*range(0x41, 0x590), *range(0x1E00, 0x2000))
    return "".join(c for c in map(chr, ranges) if c.isupper())


@cache
def places() -> frozenset[str]:
    """Countries, provinces, cities and districts."""
    return phrases("vietnamese_places.txt", "world_places.txt")


@cache
def historic() -> frozenset[str]:
    """Persons long dead, whom lessons, streets and schools are about."""
    return phrases("historic_persons.txt")


@cache
def compounds() -> frozenset[str]:
    """Vietnamese words of two syllables whose first one could be a name."""
    return phrases("vietnamese_compounds.txt")


@cache
def _vietnamese() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    frequent = frozenset(" ".join(read("vietnamese_surnames.txt").splitlines()[:2]).split())
    surnames = words("vietnamese_surnames.txt")
    given = words("vietnamese_given.txt") | surnames
    return (
        surnames | {bare(w) for w in surnames if len(w) > 1},
        given | {bare(w) for w in given},
        frequent | {bare(w) for w in frequent},
    )


class _Kinds(dict[str, int]):
    def __missing__(self, word: str) -> int:
        kind = _judge(word)
        if len(self) < KEPT_WORDS:
            self[word] = kind
        return kind


def _judge(word: str) -> int:
    low = word.lower().replace("’", "'").removesuffix(".").removesuffix("'s")
    surnames, given, frequent = _vietnamese()
    member = (
        (SURNAME_VI, low in surnames),
        (GIVEN_VI, low in given),
        (FREQUENT_SURNAME_VI, low in frequent),
        (GIVEN, low in words("given_names.txt")),
        (SURNAME, low in words("surnames.txt") or _hyphenated(low)),
        (COMMON, low in words("english_words.txt")),
        (PLACE, low in places()),
        (ORGANISATION, low in ORGANISATIONS),
        (HONORIFIC, low in HONORIFICS),
        (FUNCTION, low in FUNCTION_WORDS),
        (CALENDAR, low in CALENDAR_WORDS),
        (STREET, low in STREETS),
    )
    kind = 0
    for flag, holds in member:
        if holds:
            kind |= flag
    if not low.isascii() and not kind and _is_vietnamese(low):
        kind |= OTHER_VIETNAMESE
    return kind


def _hyphenated(low: str) -> bool:
    surnames = words("surnames.txt")
    return "-" in low and all(part in surnames for part in low.split("-"))


_SYLLABLE: Final = re.compile(
    r"(?:b|c|ch|d|đ|g|gh|gi|h|k|kh|l|m|n|ng|ngh|nh|p|ph|qu|r|s|t|th|tr|v|x)?"
    r"[aăâeêioôơuưyàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ]{1,3}"
    r"(?:c|ch|m|n|ng|nh|p|t)?"
)


def _is_vietnamese(low: str) -> bool:
    """Whether a word is written as a Vietnamese syllable: those of names are a known part of them."""
    return _SYLLABLE.fullmatch(low) is not None


kinds = _Kinds()
