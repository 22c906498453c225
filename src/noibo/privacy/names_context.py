"""What stands around a name: "Bệnh nhân …", "my name is …", "… said", "đường …".

The words before and after a candidate are put into few classes, so that what is learnt from one
sentence holds for others.
"""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.names_lexicon import HONORIFICS, ORGANISATIONS, bare

_LEFT: Final = 36  # characters
_RIGHT: Final = 26


def _listed(text: str) -> frozenset[str]:
    found = {part.strip() for part in text.replace("\n", " ").split(",")}
    return frozenset(found | {bare(part) for part in found if " " in part or len(part) > 3})


# One to three words right before a name. Each phrase stands in one class only.
BEFORE: Final = {
    "label": _listed(
        "họ tên, họ và tên, tên, tên tôi, tên khách, tên kh, ký tên, người ký, ký, name, full name, "
        "fullname, full_name, name on, last name, first name, surname, signed, bệnh nhân tên, "
        "tên chủ tài khoản, tên tài khoản, chủ tk, ctk, chủ tài khoản, chủ thẻ, account holder, "
        "cardholder, author, attn, nguyên đơn, bị đơn, bị cáo, bị can, nghi phạm, nạn nhân, "
        "người làm chứng, bên a, bên b, from, to, cc, người lập, người nộp, người nhận, người gửi, "
        "người mua, người bán, người mua hàng, người bệnh, người đại diện, đại diện, người liên hệ, "
        "người thụ hưởng, người thân, người nhà, chủ toạ, chủ tọa, thư ký, vắng mặt, có mặt, username, "
        "contact, payee, payable to, pt, bn, shipper, assignee, reviewer, todo, tác giả, ho ten, "
        "người khai, người làm đơn, người viết, người yêu cầu, người được uỷ quyền, người ủy quyền, "
        "mother, father, spouse, next of kin, kin, người lao động, người sử dụng, maiden name is"
    ),
    "intro": _listed(
        "tôi là, mình là, em là, anh là, chị là, con là, cháu là, tớ là, tên là, tên tôi là, tên em là, "
        "tôi tên, em tên, mình tên, chị tên, anh tên, con tên, khách tên, tên, là, con trai là, con gái là, "
        "vợ là, chồng là, mẹ là, bố là, name is, name's, i am, i'm, im, this is, called, named, call me, "
        "calls me, known as, it's, it is, aka, under, xưng là, đứng tên, speaking is, ten la, toi la, minh la, em la"
    ),
    "client": _listed(
        "bệnh nhân, khách hàng, khách, nhân viên, chủ xe, chủ nhà, chủ hộ, chủ shop, tài xế, lái xe, học sinh, "
        "sinh viên, ứng viên, thí sinh, sản phụ, cô dâu, chú rể, đồng nghiệp, hàng xóm, con trai, con gái, "
        "phụ huynh, kế toán, thân nhân, patient, customer, client, employee, colleague, tenant, beneficiary, "
        "guardian, candidate, applicant, neighbour, neighbor, shipper, account of, nhà"
    ),
    "role": _listed(
        "bác sĩ, bs, y tá, điều dưỡng, luật sư, kỹ sư, giáo viên, "
        "thầy giáo, cô giáo, giám đốc, phó giám đốc, tổng giám đốc, trưởng phòng, phó phòng, kế toán, "
        "kế toán trưởng, thư ký, chủ tịch, phó chủ tịch, chủ xe, chủ nhà, chủ hộ, chủ shop, tài xế, lái xe, "
        "học sinh, sinh viên, ứng viên, thí sinh, đồng chí, đ/c, nghệ sĩ, ca sĩ, diễn viên, nhạc sĩ, nhà văn, "
        "cầu thủ, huấn luyện viên, hlv, bị cáo, bị can, sản phụ, cô dâu, chú rể, đồng nghiệp, cộng sự, sếp, "
        "hàng xóm, con trai, con gái, cháu nội, cháu ngoại, em trai, em gái, anh trai, chị gái, bà ngoại, "
        "bà nội, ông nội, ông ngoại, giáo sư, tiến sĩ, thạc sĩ, đại biểu, nữ sinh, nam sinh, người mẫu, "
        "công dân, đối tượng, nghi can, thân nhân, phụ huynh, patient, customer, client, employee, "
        "colleague, friend, brother, sister, son, daughter, kid, wife, husband, mother, father, partner, "
        "boss, manager, ceo, director, producer, singer, author, writer, artist, actor, actress, officer, "
        "nurse, lawyer, neighbour, neighbor, tenant, beneficiary, guardian, player, founder, chairman, "
        "president, minister, professor, coach, student, teacher, engineer, candidate, applicant, mc"
    ),
    "greeting": _listed(
        "dear, hi, hello, hey, regards, best regards, kind regards, sincerely, yours, cheers, thanks, "
        "best, chào, xin chào, kính gửi, thân gửi, gửi, thưa, kính thưa, trân trọng, thân ái, thân mến, "
        "cảm ơn, alo, mến gửi, kính chào, thank you, love, respectfully, warmly"
    ),
    "verb": _listed(
        "gặp, gọi, gọi cho, với, cho, của, bởi, cùng, nhờ, mời, thay, báo, nhắn, hỏi, tìm, thấy, biết, "
        "giúp, yêu, tặng, đón, mẹ, bố, vợ, chồng, by, with, told, asked, met, call, tell, ask, "
        "contact, invited, between, for, like, than, thank, meet, see, says, said, points out, starring, "
        "featuring, feat, contacted, emailed, hired, married, remember, add, cám ơn, đưa, giao, giao cho, "
        "gửi cho, chuyển cho, liên hệ, uỷ quyền cho, ủy quyền cho, phân công, yêu cầu, him, her, speak to, talk to"
    ),
    "and": _listed("and, và, va, hoặc, or, &, vs, cùng với"),
    "street": _listed(
        "đường, phố, ngõ, hẻm, ngách, kiệt, phường, xã, quận, huyện, tỉnh, thành phố, thị xã, thị trấn, "
        "thôn, ấp, xóm, bản, làng, khu, tp, tp., p., q., h., x., tx., tt., đ., chung cư, toà nhà, tòa nhà, "
        "sông, núi, hồ, đèo, chùa, đền, cầu, sân bay, ga, bến, chợ, biển, đảo, vịnh, trường, thpt, thcs, "
        "tiểu học, đại học, bệnh viện, bv, viện, sân, rạp, nhà thờ, công viên, quảng trường, quốc lộ, "
        "khách sạn, nhà hàng, quán, vùng, miền, street, river, mount, mt, lake, hẻm số, đồi, bến xe, "
        "cảng, đình, lăng, dinh, khách sạn, cafe, cà phê, phủ, vịnh, rừng, bãi, thôn, tổ, kcn, kđt"
    ),
    "in": _listed(
        "in, at, near, ở, tại, từ, về, đến, tới, sang, into, across, outside, inside, around, through, "
        "via, towards, visit, leave, khắp, quanh, gần, qua, originally from, lives in, moved to, travelling to"
    ),
    "origin": _listed("from, to"),
    "organisation": _listed(
        "thương mại, dịch vụ, xây dựng, đầu tư, vận tải, xuất nhập khẩu, sản xuất, công nghệ, giải pháp, "
        "truyền thông, bất động sản, thiết bị, công ty, cty, công ty tnhh, công ty cổ phần, cổ phần, tnhh, tập đoàn, ngân hàng, hãng, "
        "thương hiệu, nhãn hiệu, đội, câu lạc bộ, clb, đảng, báo, tạp chí, tiệm, cửa hàng, shop, phần mềm, "
        "ứng dụng, tiếng, người, nước, app, máy, xe, điện thoại, truyện, phim, bài hát, bài, sách, tác phẩm, giải, cúp, bão, "
        "tàu, chiến dịch, trận, nhà xuất bản, nxb, company, work for, works for, working for, work at, "
        "joined, brand, định lý, thuyết, phương trình, định luật, hằng số, thời, triều, thuật toán, anh ngữ, ngoại ngữ, nhóm nhạc, ban nhạc, hành tinh"
    ),
    "article": _listed("the, a, an, this, that, these, our, their, its, my, your, các, những, một, cái"),
    "kinship": _listed("a, e, c, ô, cu, nhóc, con, chàng, nàng, gã, thằng, mụ, lão, ả, tên"),
}
_CLASS_BEFORE: Final = {
    phrase: name for name, phrases in reversed(BEFORE.items()) for phrase in phrases
}
AFTER: Final = {
    "says": _listed(
        "said, says, told, asked, wrote, writes, explained, shouted, replied, added, claims, called, "
        "nói, bảo, kể, khai, hỏi, đáp, cho biết, trả lời, viết, gọi, nhắn, phát biểu, chia sẻ, noi, bao"
    ),
    "verb": _listed(
        "is, was, has, had, will, lives, lived, went, flew, spent, began, came, works, worked, listed, "
        "sold, bought, wants, needs, likes, loves, transferred, sent, gave, had given, drove, who, whose, would, "
        "là, sinh, đã, đang, sẽ, bị, có, được, ở, trú, vừa, chưa, không, nhập, đến, và, ký, nộp, mua, "
        "chuyển, thanh toán, xin, làm, thích, muốn, phải, hiện, cần, đăng ký, nhận, nghỉ, mất, la, sinh, mới, hẹn"
    ),
    "vocative": _listed("ơi, oi, à, ạ, nhé, nha, nhỉ, hả, ui, ạh, ah, nè, này, nhá, hen, nghe"),
    "organisation": ORGANISATIONS | _listed("corporation's, concert, website, app, novel, music, show"),
    "and": _listed("and, và, &, va, or, hoặc"),
    "place": _listed("street, st, road, rd, avenue, ave, river, city, province, county, district"),
}
_CLASS_AFTER: Final = {
    phrase: name for name, phrases in reversed(AFTER.items()) for phrase in phrases
}
_STRIPPED: Final = " \t\"'“”‘’(<>[{*_`"
_FIRST_WORDS: Final = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)?")
_QUOTES: Final = ".(\"'“"
GLUED: Final = frozenset("./\\#$%-+~^")
_ENDS: Final = ".!?…"


def before(text: str, start: int) -> list[str]:
    """Features of what stands left of `start`."""
    piece = text[max(0, start - _LEFT) : start]
    plain = piece.rstrip(_STRIPPED)
    features = ["l:glued"] if piece[-1:] in GLUED else []
    if len(plain) < len(piece) and piece[-1] in "\"'“‘(":
        features.append("l:quoted")
    line, broken, tail = plain.rpartition("\n")
    if broken and not tail.strip(_STRIPPED):
        features.append("l:line")
        plain = line.rstrip(_STRIPPED + "\n\r")
        if plain and plain[-1] not in ":,":
            return features
    elif not tail.strip():
        features.append("l:line" if broken else "l:start")
        return features
    else:
        plain = tail
    mark = plain[-1:]
    if mark in ":-–—|=,;.!?…":
        plain = plain.rstrip(":-–—|=,;.!?… \"'")
        features.append("l:end" if mark in _ENDS else "l:" + mark)
    elif mark.isdigit():
        features.append("l:digit")
        return features
    said = plain.lower()[-28:].replace("_", " ").split()[-3:]
    known = _before(said, mark)
    if known:
        features.append("l:" + known)
    if not known and mark not in _ENDS and said and said[-1][:1].isalpha():
        features.append("l:word")
    return features


def _before(said: list[str], mark: str) -> str:
    """The class of the longest phrase right before, if the mark between lets it through."""
    if not said:
        return ""
    if mark in _ENDS:
        title = said[-1].strip(".(\"'")
        return "honorific" if title in HONORIFICS and mark == "." and len(title) < 5 else ""
    last = said[-1].strip(_QUOTES)
    two = f"{said[-2]} {last}" if len(said) > 1 else last
    three = f"{said[0].strip(_QUOTES)} {two}" if len(said) > 2 else two
    classes = _CLASS_BEFORE
    known = classes.get(three) or classes.get(two.strip(_QUOTES)) or classes.get(last, "")
    if last in HONORIFICS and known != "label":
        return "honorific"
    if mark in ":|=" and known in ("intro", "role", "label", "greeting", "origin", "verb"):
        return "label"
    if mark in ",;-–—":
        return known + "," if known in ("greeting", "label", "role") else ""
    return known


def after(text: str, end: int) -> list[str]:
    """Features of what stands right of `end`."""
    piece = text[end : end + _RIGHT]
    if not piece or piece[0] in "\r\n":
        return ["r:line"]
    mark = piece[0]
    if mark in "'’" and piece[1:2] in ("s", " "):
        return ["r:possessive"]
    if mark in ".,:;!?()-–—\"”@/|<'&=*":
        features = ["r:" + mark]
        if mark in GLUED and piece[1:2].isalnum():
            features.append("r:glued")
        if mark == "," and piece[1:3].strip().isdigit():
            features.append("r:number")
        return features
    found = _FIRST_WORDS.match(piece, 1)
    if not found:
        return ["r:number"] if piece[1:2].isdigit() else ["r:" + piece.strip()[:1]]
    phrase = found[0].lower()
    known = _CLASS_AFTER.get(phrase) or _CLASS_AFTER.get(phrase.partition(" ")[0])
    return ["r:" + known] if known else ["r:word"]
