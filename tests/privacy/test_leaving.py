"""Nothing of a value leaves, in whatever shape of whichever API it stands, and all comes back."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import MustStay
from noibo.privacy.detector import Detector
from noibo.privacy.judgement import Reason
from noibo.privacy.judging import judged
from noibo.privacy.outgoing import Outgoing, outgoing
from noibo.privacy.policy import Policy
from noibo.settings import Privacy
from noibo.wire import body
from tests.privacy.finding import find

QUIET = Policy.of(Privacy(instruct=False))
PERSONAL = [Reason("caller", "personal")]
NAME, PHONE, EMAIL = "Nguyễn Văn An", "0912 345 678", "an.nguyen@b.vn"
VALUES = (NAME, PHONE, EMAIL)

# Ways in which a sentence is written where texts are put into other texts.
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in JSON": lambda text: json.dumps({"a": text}),
    "in JSON, raw": lambda text: json.dumps([text], ensure_ascii=False),
    "in JSON in JSON": lambda text: json.dumps({"a": json.dumps({"b": text})}),
    "as a name in JSON": lambda text: json.dumps({text: 1}),
    "in an address": lambda text: "https://a.vn/?q=" + quote(text),
    "in HTML": lambda text: f"<p>{html.escape(text).encode('ascii', 'xmlcharrefreplace').decode()}",
    "in a file": lambda text: "data:text/plain;base64," + base64.b64encode(text.encode()).decode(),
    "in a file of another kind": lambda text: f"data:,{quote(text)}",
    "in a program": lambda text: f"x = {json.dumps(text)}  # {text!a}",
}
sentences = st.sampled_from(
    [
        f"Tôi là {NAME}, số {PHONE}.",
        f"{NAME}",
        f"Gửi {EMAIL} cho {NAME} hay {NAME.upper()}",
        f"<PERSON_1> {NAME} PHONE_1 {PHONE}",
        f"x{PHONE}y {{{NAME}}}",
        "không có gì",
        "<PERSON_1>",
    ]
)
texts = st.builds(lambda text, how: WRITTEN[how](text), sentences, st.sampled_from(sorted(WRITTEN)))
NAMES = (
    "messages content text input arguments parameters tools function name id type data source "
    "metadata system role output items images url file user stop schema tool_calls neu "
    "logit_bias seed total_count format noibo"
)
trees = st.recursive(
    texts | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES.split()) | sentences, inner, max_size=4)
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(NAMES.split()), trees, min_size=1, max_size=4)


def left(said: dict[str, Any]) -> Outgoing:
    fields = {name: body.raw(value) for name, value in said.items()}
    return outgoing(judged(QUIET, fields, find, PERSONAL), fields, find)


def forms(value: str) -> set[str]:
    """What a value could be seen as, in bytes of JSON."""
    deep = json.dumps(json.dumps(value))
    return {
        value,
        value.upper(),
        json.dumps(value)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        deep[3:-3],
        quote(value),
        html.escape(value).encode("ascii", "xmlcharrefreplace").decode(),
        base64.b64encode(value.encode()).decode().rstrip("=")[:-2],
    }


@given(bodies)
def test_no_value_leaves(said: dict[str, Any]) -> None:
    try:
        made = left(said)
    except MustStay:
        return
    sent = b"".join(map(bytes, made.fields.values())).decode()
    opened = json.dumps([msgspec.json.decode(one) for one in made.fields.values()])
    for value in VALUES:
        for form in forms(value):
            assert form not in sent
            assert form not in opened
            assert form not in "".join(made.fields)


plain = st.recursive(
    sentences,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "text", "input", "neu"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "system", "neu"]), plain, min_size=1))
def test_all_comes_back(said: dict[str, Any]) -> None:
    made = left(said)
    back = {name: msgspec.json.decode(value) for name, value in made.fields.items()}
    assert made.redaction.restored(back) == said


@given(bodies, st.data())
def test_judging_never_raises(said: dict[str, Any], data: st.DataObject) -> None:
    def wild(text: str) -> Any:
        found = data.draw(st.sampled_from([find, len, list, lambda _: None, lambda _: 1 / 0]))
        return found(text)

    judged(QUIET, said, wild)


CONVERSATIONS = json.loads((Path(__file__).parent / "data" / "conversations.json").read_text())


def meant(value: Any) -> Any:
    """A body with the JSON in its texts read: which escapes that has is nobody's business."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        return json.loads(value)
    if isinstance(value, list):
        return [meant(one) for one in value]
    return {name: meant(one) for name, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("one", CONVERSATIONS, ids=[one["id"] for one in CONVERSATIONS])
def test_real_conversations(one: dict[str, Any]) -> None:
    detector = Detector()
    fields = body.read_fields(json.dumps(one["body"]).encode())
    judgement = judged(QUIET, fields, detector.find)
    assert judgement.label == one["label"]
    if not judgement.may_leave:
        return
    made = outgoing(judgement, fields, detector.find)
    decoded = {name: msgspec.json.decode(value) for name, value in made.fields.items()}
    sent = json.dumps(decoded, ensure_ascii=False)
    assert [value for value in one["hidden"] if value in sent] == []
    assert [value for value in one["kept"] if value not in sent] == []
    assert meant(made.redaction.restored(decoded)) == meant(one["body"])


@pytest.mark.shared
def test_the_shared_sentences_come_back_and_nothing_found_leaves(shared: Path) -> None:
    lines = (shared / "pii" / "vi_pii_spans.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    detector = Detector()
    for at in range(0, len(rows), 20):
        said = [row["text"] for row in rows[at : at + 20]]
        fields = {"messages": body.raw([{"role": "user", "content": text} for text in said])}
        judgement = judged(QUIET, fields, detector.find)
        made = outgoing(judgement, fields, detector.find)
        sent = [one["content"] for one in msgspec.json.decode(made.fields["messages"])]
        assert [made.redaction.restore(text) for text in sent] == said
        for text, now in zip(said, sent, strict=True):
            for span in detector.find(text):
                assert text[span.start : span.end] not in now
