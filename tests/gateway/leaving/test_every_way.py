"""No way by which a request comes or goes on lets a secret reach a server beyond this machine: each
API, whole, streamed, in the background, in a batch, built on what is kept; asked again, asked of
the next, asked several times, and asked of a judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent, answers
from tests.running import RunningServer, until

pytestmark = needs_network
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
EMAIL = "lan.nguyen@congty-abc.vn"
SECRET = f"What can this key do: {KEY}"
SAID_SECRET = {"X-Noibo-Label": "secret"}
TABLES = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 1

[models.other]
engine = "remote"
base_url = "{url}"
model = "other-there"
retries = 0

[models.echo]
abilities = ["json", "schema", "logprobs"]

[virtual.either]
candidates = ["cloud", "other", "echo"]
strategy = "hybrid"
simple_threshold = 1.0
complex_threshold = 1.0

[virtual.both]
candidates = ["cloud", "other"]
strategy = "api_only"

[virtual.steps]
candidates = ["echo", "cloud"]
strategy = "cascade"
samples = 3
judge = "cloud"
"""


@pytest.fixture(scope="module")
def server(clouds: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("ways") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(url=clouds.url))
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo") as running:
        yield running


def turns(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def earlier(text: str) -> list[dict[str, Any]]:
    return [*turns(text), {"role": "assistant", "content": "I see."}, *turns("And then?")]


def bodies(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each API asked with a text, last or in an earlier turn."""
    return {
        "chat": (CHAT, {"messages": turns(text)}),
        "chat before": (CHAT, {"messages": earlier(text)}),
        "text": ("/v1/completions", {"prompt": text}),
        "messages": ("/v1/messages", {"messages": turns(text), "max_tokens": 40}),
        "messages before": ("/v1/messages", {"messages": earlier(text), "max_tokens": 40}),
        "responses": (RESPONSES, {"input": text, "store": False}),
        "responses before": (RESPONSES, {"input": earlier(text), "store": False}),
        "ollama chat": ("/api/chat", {"messages": turns(text)}),
        "ollama before": ("/api/chat", {"messages": earlier(text)}),
        "generate": ("/api/generate", {"prompt": text}),
    }


APIS = list(bodies(""))
WAYS = ("cloud", "either", "steps")


# ── each API, whole and streamed ────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", WAYS)
@pytest.mark.parametrize("api", APIS)
def test_a_secret_reaches_nobody(
    front: httpx2.Client, cloud: Cloud, api: str, model: str, streamed: bool
) -> None:
    """Also where the local answer is bad, and its judge and the next model are elsewhere."""
    path, body = bodies(SECRET)[api]
    answer = front.post(path, json=body | {"model": model, "stream": streamed})
    assert answer.status_code == (403 if model == "cloud" else 200), answer.text
    assert cloud.sent == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_what_is_said_to_be_secret_reaches_nobody(
    front: httpx2.Client, cloud: Cloud, api: str, streamed: bool
) -> None:
    path, body = bodies("Why is the sky blue?")[api]
    for model in WAYS:
        asked = body | {"model": model, "stream": streamed}
        answer = front.post(path, json=asked, headers=SAID_SECRET)
        assert answer.status_code == (403 if model == "cloud" else 200), answer.text
    assert cloud.sent == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_who_is_asked_again_and_who_is_next_see_placeholders(
    front: httpx2.Client, cloud: Cloud, api: str, streamed: bool
) -> None:
    """The first is asked twice, since it has no time; then the second answers."""

    def busy(handler: Handler, sent: Sent) -> None:
        if sent.body["model"] == "other-there":
            answers(handler, sent)
        else:
            handler.say(503, {"error": {"message": "later"}})

    cloud.script.answer = busy
    path, body = bodies(f"Write to {EMAIL}, {api} {streamed}.")[api]
    answer = front.post(path, json=body | {"model": "either", "stream": streamed})
    assert answer.status_code == 200, answer.text
    assert [one.body["model"] for one in cloud.sent] == ["cloud", "cloud", "other-there"]
    assert EMAIL not in cloud.everything()
    assert all("EMAIL_1" in one.raw.decode() for one in cloud.sent)


# ── what is kept, and built upon ────────────────────────────────────────────


def kept(front: httpx2.Client, text: str, **more: Any) -> dict[str, Any]:
    """An answer of a model here, that is stored."""
    asked = {"model": "echo", "input": text, "max_output_tokens": 24}
    found: dict[str, Any] = front.post(RESPONSES, json=asked, **more).json()
    return found


def built(first: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What can be built on it."""
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    return {
        "a chain": {"input": "And then?", "previous_response_id": first["id"]},
        "an item": {"input": [reference, *turns("And then?")]},
    }


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}])
@pytest.mark.parametrize("way", ["a chain", "an item"])
@pytest.mark.parametrize("model", WAYS)
@pytest.mark.parametrize("how", ["by its words", "by its label"])
def test_what_is_built_on_a_secret_reaches_nobody(  # noqa: PLR0917 - the ways
    front: httpx2.Client, cloud: Cloud, how: str, model: str, way: str, more: dict[str, Any]
) -> None:
    labelled = how == "by its label"
    words, headers = ("A plain word.", SAID_SECRET) if labelled else (SECRET, {})
    first = kept(front, words, headers=headers)
    answer = front.post(RESPONSES, json={"model": model, **built(first)[way], **more})
    in_background = "background" in more
    good = model != "cloud"
    assert answer.status_code == (200 if good or in_background else 403), answer.text
    if in_background:
        status = ended(front, answer.json()["id"])["status"]
        assert (status == "failed") is not good
    assert cloud.sent == []


def file_of(front: httpx2.Client, **said: Any) -> dict[str, Any]:
    """A part that names an uploaded file."""
    content = {"file": ("note.txt", b"A plain word.")}
    sent = {"data": {"purpose": "user_data"}, "files": content, **said}
    name = front.post("/v1/files", **sent).json()["id"]
    return {"type": "input_file", "file_id": name}


@pytest.mark.parametrize("more", [{}, {"background": True}])
@pytest.mark.parametrize("model", WAYS)
def test_what_is_said_of_a_file_holds_for_what_reads_it(
    front: httpx2.Client, cloud: Cloud, model: str, more: dict[str, Any]
) -> None:
    part = file_of(front, headers=SAID_SECRET)
    asked = [{"role": "user", "content": [part, {"type": "input_text", "text": "Sum it up."}]}]
    answer = front.post(RESPONSES, json={"model": model, "input": asked, **more})
    in_background = "background" in more
    assert answer.status_code == (403 if model == "cloud" and not in_background else 200)
    if in_background:
        ended(front, answer.json()["id"])
    assert cloud.sent == []
    if answer.status_code == 200:
        assert answer.json()["noibo"] == {"label": "secret"}


def test_a_file_of_which_nobody_says_anything_is_looked_through(
    front: httpx2.Client, cloud: Cloud
) -> None:
    asked = [{"role": "user", "content": [file_of(front)]}]
    assert front.post(RESPONSES, json={"model": "cloud", "input": asked}).status_code == 200
    assert "A plain word." in cloud.everything()


def test_the_label_of_an_item_goes_on_with_what_is_built_on_it(
    front: httpx2.Client, cloud: Cloud
) -> None:
    first = kept(front, "A plain word.", headers=SAID_SECRET)
    asked = {"model": "echo", **built(first)["an item"], "max_output_tokens": 24}
    second = front.post(RESPONSES, json=asked).json()
    assert second["noibo"] == {"label": "secret"}
    answer = front.post(RESPONSES, json={"model": "cloud", **built(second)["a chain"]})
    assert answer.json()["error"]["code"] == "must_stay"
    assert cloud.sent == []


@pytest.mark.parametrize("model", WAYS)
def test_a_secret_in_the_background_reaches_nobody(
    front: httpx2.Client, cloud: Cloud, model: str
) -> None:
    for text, headers in ((SECRET, {}), ("Why?", SAID_SECRET)):
        asked = {"model": model, "input": text, "background": True}
        answer = front.post(RESPONSES, json=asked, headers=headers)
        assert answer.status_code == 200
        status = ended(front, answer.json()["id"])["status"]
        assert (status == "failed") is (model == "cloud")
    assert cloud.sent == []


def ended(front: httpx2.Client, name: str) -> dict[str, Any]:
    """A response in the background, when it is over."""
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(front.get(f"{RESPONSES}/{name}").json())
        return found["status"] not in {"queued", "in_progress"}

    until(over, "the response ends")
    return found


# ── batches ─────────────────────────────────────────────────────────────────


def batch(front: httpx2.Client, endpoint: str, lines: list[dict[str, Any]], **more: Any) -> Any:
    """A batch of such bodies, when it has ended."""
    rows = [
        {"custom_id": f"line {place}", "method": "POST", "url": endpoint, "body": body}
        for place, body in enumerate(lines)
    ]
    content = "\n".join(map(json.dumps, rows)).encode()
    file = {"file": ("lines.jsonl", content)}
    said, purpose = more.pop("of_file", {}), {"purpose": "batch"}
    name = front.post("/v1/files", data=purpose, files=file, headers=said).json()["id"]
    wanted = {"input_file_id": name, "endpoint": endpoint, "completion_window": "24h"}
    found = front.post("/v1/batches", json=wanted | more.pop("json", {}), **more).json()

    def over() -> bool:
        found.update(front.get(f"/v1/batches/{found['id']}").json())
        return found["status"] == "completed"

    until(over, "the batch ends")
    return found


@pytest.mark.parametrize("api", ["chat", "chat before", "text", "responses", "responses before"])
def test_a_secret_in_a_batch_reaches_nobody(front: httpx2.Client, cloud: Cloud, api: str) -> None:
    path, body = bodies(SECRET)[api]
    found = batch(front, path, [body | {"model": model} for model in WAYS])
    assert found["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert cloud.sent == []


@pytest.mark.parametrize(
    "said",
    [
        {"headers": SAID_SECRET},
        {"json": {"noibo": {"label": "secret"}}},
        {"of_file": SAID_SECRET},
    ],
    ids=["by its header", "in its body", "of its file"],
)
def test_what_is_said_of_a_batch_holds_for_its_lines(
    front: httpx2.Client, cloud: Cloud, said: dict[str, Any]
) -> None:
    lines = [{"model": model, "messages": turns("Why is the sky blue?")} for model in WAYS]
    found = batch(front, CHAT, lines, **said)
    assert found["noibo"] == {"label": "secret"}
    assert found["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    made = front.get(f"/v1/files/{found['output_file_id']}").json()
    assert made["noibo"] == {"label": "secret"}
    assert cloud.sent == []
