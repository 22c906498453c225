from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.judging import judged
from noibo.privacy.policy import Policy
from noibo.privacy.receipt import Receipt, Sent
from tests.privacy.finding import find

POLICY = Policy()
ASKED = {"messages": [{"role": "user", "content": "Nguyễn Văn An, 0912 345 678"}]}


def receipt() -> Receipt:
    return Receipt.of(judged(POLICY, ASKED, find), "req_1")


def test_what_stayed_says_so() -> None:
    stayed = receipt()
    assert stayed.stayed
    assert stayed.header() == (
        "stayed on this machine; label=personal; rule=redact; "
        f"policy={POLICY.fingerprint}; request=req_1"
    )
    assert stayed.as_json()["receipt"] == "stayed on this machine"
    assert stayed.as_json()["sent"] == []


def test_what_left_says_what_went_where() -> None:
    content = b'{"messages": []}'
    sent = Sent.of("https://openrouter.ai:443", content, {"PHONE": 1, "PERSON": 2})
    left = receipt().with_sent(sent)
    digest = hashlib.sha256(content).hexdigest()
    assert left.header() == (
        f"left this machine; to=https://openrouter.ai:443; bytes=16; sha256={digest[:12]}; "
        "redacted=PERSON:2,PHONE:1; label=personal; rule=redact; "
        f"policy={POLICY.fingerprint}; request=req_1"
    )
    assert left.as_json() == {
        "receipt": "left this machine",
        "stayed": False,
        "request_id": "req_1",
        "label": "personal",
        "rule": "redact",
        "reasons": [{"source": "detector", "label": "personal", "because": "PERSON 1, PHONE 1"}],
        "policy": POLICY.fingerprint,
        "sent": [
            {
                "destination": "https://openrouter.ai:443",
                "bytes": 16,
                "sha256": digest,
                "redacted": {"PHONE": 1, "PERSON": 2},
            }
        ],
        "tried": [],
    }


def test_where_nobody_was_reached_it_stayed() -> None:
    tried = receipt().with_tried("https://a:443").with_tried("https://a:443")
    assert tried.stayed
    assert tried.header().startswith("stayed on this machine; tried=https://a:443; label=personal")
    assert tried.as_json()["tried"] == [{"destination": "https://a:443", "attempts": 2}]
    both = tried.with_sent(Sent.of("https://b:443", b"2"))
    assert both.header().startswith("left this machine; to=https://b:443; ")
    assert "; tried=https://a:443; " in both.header()


def test_each_time_that_something_left_is_on_it() -> None:
    twice = (
        receipt()
        .with_sent(Sent.of("https://a:443", b"1"))
        .with_sent(Sent.of("https://b:443", b"2"))
    )
    assert [one.destination for one in twice.sent] == ["https://a:443", "https://b:443"]
    assert twice.header().count("; to=") == 2
    assert receipt().stayed


@given(st.text(), st.text())
def test_nobody_adds_a_part_to_the_header(request: str, destination: str) -> None:
    made = Receipt.of(judged(POLICY, ASKED, find), request).with_sent(Sent.of(destination, b""))
    header = made.header()
    assert header.isascii()
    assert header.isprintable()
    assert header.count("; ") == 8
    json.dumps(made.as_json())


def test_no_value_is_on_it() -> None:
    made = receipt()
    said = f"{made} {made!r} {made.as_json()}"
    assert not any(value in said for value in ("Nguyễn", "0912", "345"))
