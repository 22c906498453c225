from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import pytest

from noibo.errors import InvalidRequest
from noibo.wire import pictures
from noibo.wire.content_parts import check_parts, drop_thoughts, refusals_as_text
from tests.wire.drawing import GIF, JPEG, WEBP, png, url


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "Look:"}, *parts]}]


def image(address: Any, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address, **more}}


def refused(*parts: Any, sees_images: bool = True) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_parts(user(*parts), model="m:1b", sees_images=sees_images)
    return caught.value


@pytest.mark.parametrize(
    ("data", "kind", "width", "height"),
    [
        (png(3, 2), "png", 3, 2),
        (JPEG, "jpeg", 16, 8),
        (GIF, "gif", 16, 8),
    ],
)
def test_the_header_says_how_large_a_picture_is(
    data: bytes, kind: str, width: int, height: int
) -> None:
    assert pictures.look_at(data) == pictures.Picture(kind, width, height)
    check_parts(user(image(url(data))), model="m", sees_images=True)


@pytest.mark.parametrize("data", [png(3, 2), JPEG, GIF, WEBP])
def test_a_picture_that_breaks_off_anywhere_is_looked_at_without_a_fall(data: bytes) -> None:
    for length in range(len(data)):
        try:
            pictures.look_at(data[:length])
        except ValueError as exc:
            assert str(exc)


def test_a_picture_that_would_fill_the_memory_is_refused() -> None:
    assert "30,000 × 30,000 pixels" in str(refused(image(url(png(30_000, 30_000, rows=1)))))
    assert "longer than" in str(refused(image(url(png(40_000, 1, rows=0)))))
    bomb = png(8, 8, data=bytes(20_000_000))
    assert len(bomb) < 50_000
    assert "far more than its pixels" in str(refused(image(url(bomb))))
    scans = JPEG[:-2] + b"\xff\xda" * 101
    assert "more than 100 scans" in str(refused(image(url(scans))))


def test_many_pictures_may_not_add_up_to_more_either() -> None:
    large = image(url(png(7000, 7000, rows=1)))
    assert "pixels in all" in str(refused(large, large, large))
    assert "more than 64 pictures" in str(refused(*[image(url(png(1, 1)))] * 65))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no PNG, JPEG or GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG or GIF"),
        (png(0, 0), "no pixels"),
        (png(5, 0), "no pixels"),
        (png(9, 9)[:-30], "cut off"),
        (png(9, 9)[:20], "in the middle of its header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "without a header"),
        (JPEG[:30], "in the middle of its header"),
        (b"\xff\xd8\xff\xe0\x00\x04ab" + bytes(20), "damaged JPEG"),
        (WEBP, "a WebP, which the engine does not read"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    error = refused(image(url(data)))
    assert reason in str(error)
    assert error.param == "messages[0].content[1].image_url.url"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://example.com/cat.png", "https addresses are not fetched"),
        ("HTTP://127.0.0.1:8000/secret", "http addresses are not fetched"),
        ("file:///etc/passwd", "file addresses are not fetched"),
        ("/etc/passwd", "no data: URL"),
        (base64.b64encode(png(1, 1)).decode(), "no data: URL"),
        ("data:text/plain;base64,aGk=", "no picture in base64"),
        ("data:image/png,%89PNG", "no picture in base64"),
        ("data:image/png;base64", "no picture in base64"),
        ("data:image/png;base64,????", "base64 is damaged"),
        ("data:image/png;base64,ế", "base64 is damaged"),
    ],
)
def test_nothing_is_fetched_and_nothing_is_guessed(address: str, reason: str) -> None:
    error = refused(image(address))
    assert reason in str(error)
    assert error.param == "messages[0].content[1].image_url.url"


@pytest.mark.parametrize("address", [None, 5, ["x"], {"a": 1}])
def test_an_address_is_a_string(address: Any) -> None:
    assert refused(image(address)).param == "messages[0].content[1].image_url.url"
    assert refused({"type": "image_url", "image_url": address}).param is not None


def test_detail_is_one_of_openais_words() -> None:
    for detail in ("auto", "low", "high", None):
        check_parts(user(image(url(png(1, 1)), detail=detail)), model="m", sees_images=True)
    for detail in ("max", 3, ["low"]):
        error = refused(image(url(png(1, 1)), detail=detail))
        assert error.param == "messages[0].content[1].image_url.detail"


def test_a_model_without_a_projector_sees_no_images() -> None:
    error = refused(image(url(png(1, 1))), sees_images=False)
    assert "m:1b sees no images" in str(error)
    assert error.param == "messages[0].content[1]"


@pytest.mark.parametrize("kind", ["input_audio", "file", "video_url", "media_marker", None, 3, []])
def test_parts_that_nobody_reads_are_named(kind: Any) -> None:
    error = refused({"type": kind, "text": "x"})
    assert f"parts of type {kind!r}" in str(error)
    assert error.param == "messages[0].content[1]"


def test_a_part_is_an_object_with_its_text() -> None:
    assert refused("Hi").param == "messages[0].content[1]"
    assert refused({"type": "text"}).param == "messages[0].content[1].text"
    assert refused({"type": "text", "text": None}).param == "messages[0].content[1].text"


@pytest.mark.parametrize(
    "messages", [None, 3, "x", {}, [3], [{"role": "user"}], [{"content": "x"}]]
)
def test_messages_without_parts_are_left_to_the_engine(messages: Any) -> None:
    check_parts(messages, model="m", sees_images=False)
    assert not refusals_as_text(messages)


def test_a_refusal_of_an_earlier_answer_is_text_for_an_engine() -> None:
    messages = [{"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}]
    check_parts(messages, model="m", sees_images=False)
    assert refusals_as_text(messages)
    assert messages[0]["content"] == [{"type": "text", "text": "I will not."}]


def test_thoughts_are_taken_out_where_there_are_some() -> None:
    messages = [{"role": "assistant", "content": "Hi", "reasoning_content": "They greet."}]
    assert drop_thoughts(messages)
    assert messages == [{"role": "assistant", "content": "Hi"}]
    assert not drop_thoughts(messages)
    assert not drop_thoughts([3, None])
    assert not drop_thoughts("x")


def test_an_interlaced_picture_is_no_bomb() -> None:
    rows = zlib.compress(bytes(10_000))
    head = struct.pack(">IIBBBBB", 50, 60, 8, 2, 0, 0, 1)
    assert pictures.look_at(png(0, 0, head=head, packed=rows)).pixels == 3000
