"""A request to a model beyond this machine: judged, redacted, told back, written down."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from noibo.egress_ledger import departures
from noibo.wire.access import KeyWanted
from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent, told_last
from tests.running import RunningServer, until

pytestmark = needs_network
CHAT = "/v1/chat/completions"
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
EMAIL = "lan.nguyen@congty-abc.vn"
PHONE = "0912 345 678"


def chat(text: str, model: str = "cloud", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def content(answer: httpx2.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def streamed(client: httpx2.Client, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """What a stream says, and all of it as it came."""
    with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        raw = b"".join(answer.iter_bytes()).decode()
    said = ""
    for line in raw.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                said += choice.get("delta", choice).get("content") or choice.get("text") or ""
    return said, raw


# ── what may leave ──────────────────────────────────────────────────────────


def test_what_is_harmless_goes_as_it_is(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("Why is the sky blue?", its_own={"field": 1}))
    assert (answer.status_code, content(answer)) == (200, "Why is the sky blue?")
    (sent,) = cloud.sent
    assert sent.body == chat("Why is the sky blue?", its_own={"field": 1})
    told = {name.lower() for name in sent.headers}
    assert told <= {"host", "content-length", "content-type", "accept-encoding", "user-agent"}
    receipt = answer.headers["x-noibo-receipt"]
    assert receipt.startswith(f"left this machine; to=http://{cloud.host}; bytes={len(sent.raw)};")
    assert "label=internal; rule=leave" in receipt


def test_what_is_personal_leaves_redacted_and_is_told_back(
    front: httpx2.Client, cloud: Cloud
) -> None:
    answer = front.post(CHAT, json=chat(f"Gọi {PHONE} hoặc viết cho {EMAIL} nhé."))
    assert content(answer) == f"Gọi {PHONE} hoặc viết cho {EMAIL} nhé."
    everything = cloud.everything()
    assert EMAIL not in everything and PHONE not in everything
    assert "<EMAIL_1>" in everything and "<PHONE_1>" in everything
    assert "redacted=EMAIL:1,PHONE:1" in answer.headers["x-noibo-receipt"]


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 8, 100])
def test_a_placeholder_that_is_cut_anywhere_is_told_back(
    front: httpx2.Client, cloud: Cloud, pieces: int
) -> None:
    cloud.script.pieces = pieces
    said, raw = streamed(front, CHAT, chat(f"Viết cho {EMAIL}, gọi {PHONE}.", stream=True))
    assert said == f"Viết cho {EMAIL}, gọi {PHONE}."
    assert raw.rstrip().endswith("data: [DONE]")
    assert "EMAIL_1" not in raw and EMAIL not in cloud.everything()


def test_arguments_of_tools_are_told_back_as_json(front: httpx2.Client, cloud: Cloud) -> None:
    def calls(handler: Handler, sent: Sent) -> None:
        handler.begin()
        arguments = '{"to": "<EMAIL_1>", "text": "xin chào"}'
        for start in range(0, len(arguments), 4):
            call = {"index": 0, "function": {"arguments": arguments[start : start + 4]}}
            if not start:
                call |= {"id": "call_1", "type": "function"}
                call["function"] = {"name": "send", **call["function"]}  # type: ignore[dict-item]
            delta = {"tool_calls": [call]}
            handler.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        handler.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        handler.event("[DONE]")

    cloud.script.answer = calls
    _, raw = streamed(front, CHAT, chat(f"Viết cho {EMAIL}.", stream=True))
    said = ""
    for line in raw.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                for call in choice["delta"].get("tool_calls", ()):
                    said += call["function"].get("arguments", "")
    assert json.loads(said) == {"to": EMAIL, "text": "xin chào"}


def test_the_same_history_gives_the_same_placeholders(front: httpx2.Client, cloud: Cloud) -> None:
    first = [{"role": "user", "content": f"Tôi là chủ của {EMAIL}."}]
    second = [
        *first,
        {"role": "assistant", "content": f"Chào {EMAIL}!"},
        {"role": "user", "content": f"Gọi tôi theo số {PHONE}, đừng viết cho {EMAIL}."},
    ]
    for messages in (first, second):
        front.post(CHAT, json={"model": "cloud", "messages": messages})
    one, two = (sent.body["messages"] for sent in cloud.sent)
    assert two[: len(one)] == one
    assert two[-1]["content"] == "Gọi tôi theo số <PHONE_1>, đừng viết cho <EMAIL_1>."


def json_answer(handler: Handler, sent: Sent) -> None:
    """What it was told, in JSON, as models write it: thoughts first, in words."""
    thought, said = f"It is {told_last(sent.body)}", json.dumps({"to": told_last(sent.body)})
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if not sent.body.get("stream"):
        choice["message"] = {"content": f"\n{said[:-1]}", "reasoning_content": thought}
        handler.say(200, {"choices": [choice]})
        return
    handler.begin()
    for name, text in (("reasoning_content", thought), ("content", said)):
        for start in range(0, len(text), 3):
            delta = {name: text[start : start + 3]}
            handler.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    handler.event({"choices": [{**choice, "delta": {}}]})
    handler.event("[DONE]")


@pytest.mark.parametrize("stream", [False, True])
def test_a_value_with_a_line_break_is_told_back_as_json_where_that_was_wanted(
    front: httpx2.Client, cloud: Cloud, stream: bool
) -> None:
    """Whole, cut off by a limit, or in pieces; what it thought is no JSON."""
    cloud.script.answer = json_answer
    address = "1600 Amphitheatre Pkwy\nMountain View, CA 94043"
    asked = chat(f"Ship to: {address}", stream=stream, response_format={"type": "json_object"})
    if not stream:
        message = front.post(CHAT, json=asked).json()["choices"][0]["message"]
        said, thought = message["content"] + "}", message["reasoning_content"]
    else:
        _, raw = streamed(front, CHAT, asked)
        said = thought = ""
        for line in raw.splitlines():
            for choice in json.loads(line[6:])["choices"] if line.startswith("data: {") else ():
                said += choice["delta"].get("content") or ""
                thought += choice["delta"].get("reasoning_content") or ""
    assert address not in cloud.everything() and "Amphitheatre" not in cloud.everything()
    assert json.loads(said) == {"to": f"Ship to: {address}"}
    assert thought == f"It is Ship to: {address}"


def test_probabilities_of_placeholders_are_not_asked_for_and_that_is_said(
    front: httpx2.Client, cloud: Cloud
) -> None:
    asked = chat(f"Viết cho {EMAIL}.", logprobs=True, top_logprobs=2)
    answer = front.post(CHAT, json=asked)
    assert content(answer) == f"Viết cho {EMAIL}."
    assert {"logprobs", "top_logprobs"}.isdisjoint(cloud.sent[0].body)
    assert answer.headers["x-noibo-receipt"].endswith("; left_out=logprobs")
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert "placeholders" in told["left_out"]["logprobs"]
    front.post(CHAT, json=chat("Why?", logprobs=True, top_logprobs=2))
    assert cloud.sent[1].body["top_logprobs"] == 2


@pytest.mark.parametrize("effort", ["high", "none"])
def test_an_effort_goes_there_and_is_theirs_to_refuse(
    front: httpx2.Client, cloud: Cloud, effort: str
) -> None:
    body = {"model": "cloud", "input": "Why?", "reasoning": {"effort": effort}, "store": False}
    assert front.post("/v1/responses", json=body).status_code == 200
    assert cloud.sent[0].body["reasoning_effort"] == effort


# ── what may not ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text", ["Why?", f"Viết cho {EMAIL}."])
def test_the_key_of_the_house_is_in_no_answer(
    front: httpx2.Client, cloud: Cloud, text: str, streamed: bool
) -> None:
    """Where the server there says again what it was sent."""
    key = "keyring-of-the-house"
    cloud.script.pieces = 100
    cloud.script.text = lambda body: f"You sent Bearer {key}."
    answer = front.post(CHAT, json=chat(text, model="keyed", stream=streamed))
    assert answer.status_code == 200
    assert cloud.sent[0].headers["Authorization"] == f"Bearer {key}"
    assert key not in answer.text and "You sent Bearer [key]." in answer.text


def test_a_secret_stays_and_it_is_said_what_to_do(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat(f"Here is my key: {KEY}"))
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "must_stay"
    assert "API_KEY" in error["message"] and "local model" in error["message"]
    assert KEY not in answer.text
    assert answer.headers["x-noibo-receipt"].startswith("stayed on this machine")
    assert cloud.sent == []


@pytest.mark.parametrize("label", ["secret", "SECRET", "top-secret", "secret, public"])
def test_a_label_in_the_header_holds(front: httpx2.Client, cloud: Cloud, label: str) -> None:
    answer = front.post(CHAT, json=chat("Why?"), headers={"X-Noibo-Label": label})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "must_stay")
    assert cloud.sent == []


@pytest.mark.parametrize(
    "own", [{"label": "secret"}, {"label": 5}, {"label": None}, {"label": ""}, "secret", ["secret"]]
)
def test_a_label_in_the_body_holds(front: httpx2.Client, cloud: Cloud, own: Any) -> None:
    answer = front.post(CHAT, json=chat("Why?", noibo=own))
    assert answer.status_code == 403
    assert cloud.sent == []


def test_what_is_said_to_noibo_alone_does_not_leave(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat("Why?", noibo={"label": "public"}))
    assert answer.status_code == 200
    assert "noibo" not in cloud.sent[0].body
    assert "label=public" in answer.headers["x-noibo-receipt"]


def test_no_one_can_talk_a_label_down(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat(f"Key: {KEY}"), headers={"X-Noibo-Label": "public"})
    assert answer.status_code == 403
    assert cloud.sent == []


def test_the_label_of_a_model_holds(front: httpx2.Client, cloud: Cloud) -> None:
    assert front.post(CHAT, json=chat("Why?", "careful")).status_code == 403
    assert cloud.sent == []


def test_a_picture_cannot_be_looked_into_and_stays(front: httpx2.Client, cloud: Cloud) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    said = [{"type": "text", "text": "What is this?"}, picture]
    answer = front.post(CHAT, json=chat(said))  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert cloud.sent == []


def test_a_server_of_ones_own_is_told_everything(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat(f"Key: {KEY}", "own"))
    assert content(answer) == f"Key: {KEY}"
    receipt = answer.headers["x-noibo-receipt"]
    assert receipt.startswith("left this machine; ")
    assert receipt.endswith(f"; own=http://{cloud.host}")


# ── what is written down ────────────────────────────────────────────────────


def test_each_attempt_is_a_row_before_it_and_is_settled_after(
    front: httpx2.Client, cloud: Cloud, leaving_server: RunningServer
) -> None:
    answer = front.post(CHAT, json=chat(f"Viết cho {EMAIL}."))
    request = answer.headers["x-request-id"]
    rows = [
        one for one in departures(leaving_server.home / "egress.jsonl") if one.request == request
    ]
    (row,) = rows
    (sent,) = cloud.sent
    assert (row.destination, row.bytes, row.sent) == (
        f"http://{cloud.host}",
        len(sent.raw),
        len(sent.raw),
    )
    assert (row.label, row.outcome, row.purpose) == ("personal", "ok", "cloud_model")
    assert EMAIL not in (leaving_server.home / "egress.jsonl").read_text()


def test_a_receipt_can_be_had_afterwards(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat(f"Viết cho {EMAIL}."))
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert told["stayed"] is False
    assert told["sent"][0]["redacted"] == {"EMAIL": 1}
    assert front.get("/noibo/v1/receipts/of-nobody").status_code == 404


def test_a_receipt_is_for_who_sent_the_request(
    front: httpx2.Client, cloud: Cloud, leaving_server: RunningServer
) -> None:
    keys = []
    with leaving_server.client() as client:
        for name in ("mine", "another"):
            made = client.make_key(KeyWanted(name=name))
            keys.append({"Authorization": f"Bearer {made.key}"})
    mine, others = keys
    answer = front.post(CHAT, json=chat("Hello"), headers=mine)
    path = f"/noibo/v1/receipts/{answer.headers['x-request-id']}"
    assert front.get(path, headers=mine).json()["stayed"] is False
    assert front.get(path, headers=others).status_code == 404


def test_a_plain_chat_here_says_that_it_stayed(front: httpx2.Client, cloud: Cloud) -> None:
    answer = front.post(CHAT, json=chat(f"Key: {KEY}", "echo", max_tokens=4))
    assert answer.headers["x-noibo-receipt"] == "stayed on this machine"
    assert cloud.sent == []


def test_nothing_of_a_caller_stands_in_the_log(
    front: httpx2.Client, cloud: Cloud, leaving_server: RunningServer
) -> None:
    front.post(CHAT, json=chat(f"Viết cho {EMAIL}, khoá {KEY}."))
    front.post(CHAT, json=chat(f"Viết cho {EMAIL}."))
    log = leaving_server.log.read_text()
    assert EMAIL not in log and KEY not in log


# ── what goes on ────────────────────────────────────────────────────────────


def test_a_label_goes_on_with_the_conversation(front: httpx2.Client, cloud: Cloud) -> None:
    """Also where who asks says it no more, and no word of it is in the text."""
    asked = {"model": "echo", "input": "A plain sentence.", "max_output_tokens": 16}
    first = front.post("/v1/responses", json=asked, headers={"X-Noibo-Label": "secret"}).json()
    later = {"model": "cloud", "input": "And then?", "previous_response_id": first["id"]}
    answer = front.post("/v1/responses", json=later)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "must_stay")
    assert first["id"] in answer.json()["error"]["message"]
    own = front.post("/v1/responses", json=later | {"model": "echo"}).json()
    third = later | {"previous_response_id": own["id"]}
    assert front.post("/v1/responses", json=third).status_code == 403
    assert cloud.sent == []


def test_what_is_found_in_a_stored_conversation_stays(front: httpx2.Client, cloud: Cloud) -> None:
    asked = {"model": "echo", "input": f"My key is {KEY}.", "max_output_tokens": 16}
    first = front.post("/v1/responses", json=asked).json()
    later = {"model": "cloud", "input": "And then?", "previous_response_id": first["id"]}
    assert front.post("/v1/responses", json=later).status_code == 403
    assert cloud.sent == []


def test_a_line_of_a_batch_is_judged_as_any(front: httpx2.Client, cloud: Cloud) -> None:
    lines = [
        {"custom_id": name, "method": "POST", "url": CHAT, "body": chat(text)}
        for name, text in (("good", "Hello"), ("bad", f"The key is {KEY}"))
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = front.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("lines.jsonl", content)}
    ).json()
    wanted = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    batch = front.post("/v1/batches", json=wanted).json()

    def ended() -> bool:
        batch.update(front.get(f"/v1/batches/{batch['id']}").json())
        return batch["status"] == "completed"

    until(ended, "the batch ends")
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert len(cloud.sent) == 1 and KEY not in cloud.everything()
