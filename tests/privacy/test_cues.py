import pytest

from noibo.privacy.cues import after, before, fold


def first(text: str) -> tuple[str, bool, bool] | None:
    cue = next(before(text, len(text)), None)
    return (cue.kind, cue.direct, cue.near) if cue else None


@pytest.mark.parametrize(
    "text",
    [
        "số tài khoản: ",
        "SO TAI KHOAN ",
        "so_tai_khoan=",
        '"soTaiKhoan": ',
        "Số tài khoản\n",
        "STK-",
    ],
)
def test_a_cue_is_the_same_however_it_is_written(text):
    assert first(text) == ("BANK_ACCOUNT", True, True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("thẻ căn cước ", "CCCD"),
        ("thẻ tín dụng ", "CREDIT_CARD"),
        ("thẻ bảo hiểm y tế ", "BHYT"),
        ("căn cước công dân số ", "CCCD"),
        ("dân số ", "OTHER"),
        ("số bảo hiểm xã hội ", "BHXH"),
        ("mã số thuế ", "MST"),
    ],
)
def test_the_longest_cue_is_meant(text, kind):
    assert first(text) == (kind, True, True)


def test_fillers_leave_a_cue_direct_and_other_words_do_not():
    assert first("mã đơn hàng của bạn là ") == ("OTHER", True, True)
    assert first("đơn hàng hôm qua gọi không nghe máy ") == ("PHONE", False, True)
    assert first("Tôi ghi stk rồi. Hôm qua anh Ba đưa ") == ("BANK_ACCOUNT", False, False)


def test_cues_come_nearest_first():
    text = "mst 0101243150, sđt 0912345678, "
    assert [cue.kind for cue in before(text, len(text))] == ["PHONE", "MST"]


def test_what_follows_counts_unless_it_names_another_number():
    assert after("0912 là số zalo của em", 4).kind == "PHONE"
    assert after("0912 (Vietcombank)", 4).kind == "BANK"
    assert after("0912, stk 123456", 4) is None
    assert after("0912 hôm nay trời đẹp, gọi em", 4) is None


def test_words_cut_by_the_window_are_not_read():
    text = "x" * 40 + "astk " + "la " * 20
    assert first(text) is None


def test_folding_leaves_plain_words():
    assert fold("Đường Số_Tài-Khoản") == "duong so tai khoan"
    assert fold("Hết. Rồi\nmới").split() == ["het", "|", "roi", "|", "moi"]
