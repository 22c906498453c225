"""`HybridLLM` against two servers of noibo's own, each in a process, and against scripted ones for
what a healthy server does not do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.egress import Door
from noibo.errors import NoCandidate, SettingsError, UpstreamFailed, UsageError
from noibo.routing.checking import Checked
from noibo.routing.clients import Clients, home_client
from noibo.routing.confidence import Calibration, Confidence
from noibo.routing.departing import _for_provider, messages_of
from noibo.routing.endpoint import Endpoint
from noibo.routing.features import Query
from noibo.routing.hybrid import HybridLLM
from noibo.routing.reply import Reply
from noibo.settings import load
from tests.routing.speaking import Says, Speaker, fails, says, speaking
from tests.running import RunningServer

EASY, MIDDLE, HARD = "Thủ đô của Việt Nam là gì?", "Tóm tắt đoạn này", "So sánh hai phương án"
CLASSIFIER = Says({"Tóm tắt": 0.5, "So sánh": 0.1}, 0.9)
HANOI = says("Hà Nội là thủ đô của Việt Nam.")
PARIS = says("Phương án đầu rẻ hơn, phương án sau nhanh hơn.")


def config(local: str, api: str, **routing: Any) -> dict[str, Any]:
    """As the seed has it, with other addresses."""
    return {
        "local": {"endpoint": local, "max_tokens": 2048, "temperature": 0.2},
        "api": {
            "model": "openai/gpt-4o-mini",
            "endpoint": api,
            "max_tokens": 4096,
            "temperature": 0.3,
        },
        "routing": {
            "simple_threshold": 0.7,
            "api_fallback": True,
            "max_api_calls_per_hour": 100,
            **routing,
        },
    }


@pytest.fixture
def here() -> Iterator[Speaker]:
    with speaking(HANOI) as speaker:
        yield speaker


@pytest.fixture
def cloud() -> Iterator[Speaker]:
    with speaking(PARIS) as speaker:
        yield speaker


def hybrid(here: Speaker, cloud: Speaker, **more: Any) -> HybridLLM:
    routing = more.pop("routing", {})
    classifier = more.pop("classifier", CLASSIFIER)
    return HybridLLM(config(here.url, cloud.url, **routing), classifier=classifier, **more)


# ── two servers of noibo's ──────────────────────────────────────────────────


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    homes = [tmp_path_factory.mktemp(name) / "home" for name in ("house", "away")]
    for home, name in zip(homes, ("house", "away"), strict=True):
        home.mkdir()
        (home / "noibo.toml").write_text(f'[aliases]\n{name} = "echo"\n')
    with RunningServer(homes[0]) as first, RunningServer(homes[1]) as second:
        yield f"{first.url}/v1", f"{second.url}/v1"


def test_the_seeds_code_works_against_two_servers(
    two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_STRATEGY", "hybrid")
    monkeypatch.setenv("LOCAL_LLM_URL", two[0])
    seed = config(*two)
    seed["api"]["model"] = "away"
    llm = HybridLLM(seed, classifier=CLASSIFIER)
    assert llm.generate(EASY, "Việt Nam có thủ đô là Hà Nội.").endswith(EASY)
    simple, medium, hard = (llm.ask(one) for one in (EASY, MIDDLE + " giúp tôi", HARD))
    assert (simple.local, simple.receipt.stayed) == (True, True)
    assert (hard.local, hard.model) == (False, "away")
    # an echo says nothing but the question: it is found not good, and the other one is asked
    assert (medium.local, medium.model) == (False, "away")


def test_what_is_personal_is_not_what_arrives(two: tuple[str, str], home: Path) -> None:
    seed = config(*two)
    seed["api"]["model"] = "away"
    llm = HybridLLM(seed, classifier=CLASSIFIER)
    asked = f"{HARD} cho khách có e-mail lan.nguyen@congty.vn"
    answer = llm.ask(asked)
    assert not answer.local
    assert "lan.nguyen@congty.vn" in answer.text  # put back
    assert answer.receipt.sent[0].redacted["EMAIL"] == 1
    ledger = (home / "egress.jsonl").read_text()
    assert "lan.nguyen" not in ledger
    assert '"purpose":"cloud_model"' in ledger.replace(" ", "")


# ── which of them is asked ──────────────────────────────────────────────────


def test_each_class_goes_its_way(here: Speaker, cloud: Speaker) -> None:
    llm = hybrid(here, cloud)
    assert llm.generate(EASY) == "Hà Nội là thủ đô của Việt Nam."
    assert (len(here.asked), len(cloud.asked)) == (1, 0)
    assert llm.generate(MIDDLE) == "Hà Nội là thủ đô của Việt Nam."
    assert (len(here.asked), len(cloud.asked)) == (2, 0)
    assert llm.generate(HARD).startswith("Phương án")
    assert (len(here.asked), len(cloud.asked)) == (2, 1)


def test_each_side_is_asked_as_it_is_configured(here: Speaker, cloud: Speaker) -> None:
    llm = hybrid(here, cloud, settings=load(environ={"OPENROUTER_API_KEY": "sk-or-1"}))
    llm.generate(EASY, "Đoạn văn.")
    llm.generate(HARD)
    assert here.asked[0] == {
        "messages": [{"role": "user", "content": f"Đoạn văn.\n\n{EASY}"}],
        "max_tokens": 2048,
        "temperature": 0.2,
        "model": "first",
    }
    assert {name: cloud.asked[0][name] for name in ("model", "max_tokens", "temperature")} == {
        "model": "openai/gpt-4o-mini",
        "max_tokens": 4096,
        "temperature": 0.3,
    }
    assert (here.keys, cloud.keys) == ([None], ["Bearer sk-or-1"])


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (says(""), "empty"),
        (says("Xin lỗi, tôi không thể trả lời câu hỏi này."), "refusal"),
        (says("The text is about two ways to do it, and their cost."), "language"),
        (says("Và rồi, " * 30), "loop"),
        (says("Đoạn này nói về", finish="length"), "cut_off"),
    ],
)
def test_a_medium_answer_that_is_not_good_is_asked_elsewhere(
    here: Speaker, cloud: Speaker, bad: Any, fault: str
) -> None:
    here.script = bad
    answer = hybrid(here, cloud).ask(MIDDLE)
    assert (answer.local, len(cloud.asked)) == (False, 1)
    cloud.script = fails(503)
    kept = hybrid(here, cloud).ask(MIDDLE)
    assert kept.local and kept.verdict is not None  # better than none
    assert kept.verdict.faults == (fault,)


def test_an_unsure_answer_is_asked_elsewhere(here: Speaker, cloud: Speaker) -> None:
    weights = (0.0, 2.0, 0.0, 0.0, 0.0)
    calibration = Calibration((-1.0, 0, 0, 0, 0), (1.0,) * 5, (*weights, 0.0), weights, 100)
    here.script = says("Hai phương án khác nhau ở giá.", logprobs=[-0.1, -0.1])
    sure = hybrid(here, cloud, calibration=calibration).ask(MIDDLE)
    here.script = says("Hai phương án khác nhau ở giá.", logprobs=[-4.0, -3.0])
    unsure = hybrid(here, cloud, calibration=calibration).ask(MIDDLE)
    assert (sure.local, unsure.local) == (True, False)
    assert here.asked[0]["logprobs"] is True
    assert sure.verdict is not None and sure.verdict.p is not None and sure.verdict.p > 0.8


def test_a_server_without_log_probabilities_is_asked_without(here: Speaker, cloud: Speaker) -> None:
    here.script = lambda asked: (fails(400) if asked.get("logprobs") else HANOI)(asked)
    assert hybrid(here, cloud).ask(MIDDLE).local
    assert [bool(one.get("logprobs")) for one in here.asked] == [True, False]


def test_answers_that_contradict_each_other_are_asked_elsewhere(
    here: Speaker, cloud: Speaker
) -> None:
    said = iter([says("Đáp án: 4"), says("Đáp án: 5"), says("Đáp án: 6")])

    def answers(asked: dict[str, Any]) -> Any:
        return next(said)(asked)

    here.script = answers
    answer = hybrid(here, cloud, routing={"samples": 3}).ask(MIDDLE)
    assert (answer.local, len(here.asked)) == (False, 3)


def test_a_judge_of_the_house_is_heard(here: Speaker, cloud: Speaker) -> None:
    here.script = lambda asked: says("2" if asked["model"] == "judge" else "Nói về giá cả.")(asked)
    answer = hybrid(here, cloud, routing={"judge": "judge"}).ask(MIDDLE)
    assert not answer.local
    assert here.asked[1]["model"] == "judge"


# ── what fails ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_where_this_machine_fails_the_api_answers(
    here: Speaker, cloud: Speaker, status: int
) -> None:
    here.script = fails(status)
    assert not hybrid(here, cloud).ask(EASY).local


def test_where_nobody_answers_everybodys_fault_is_told(here: Speaker, cloud: Speaker) -> None:
    here.script, cloud.script = fails(500, "out of memory"), fails(401, "no such key")
    with pytest.raises(UpstreamFailed, match="no such key") as failed:
        hybrid(here, cloud).ask(EASY)
    assert "out of memory" in failed.value.__notes__[0]


def test_without_fallback_it_does_not(here: Speaker, cloud: Speaker) -> None:
    here.script = fails(500, "out of memory")
    with pytest.raises(UpstreamFailed, match="out of memory"):
        hybrid(here, cloud, routing={"api_fallback": False}).ask(EASY)
    assert not cloud.asked


@pytest.mark.parametrize("status", [401, 429, 500])
def test_where_the_api_fails_this_machine_answers(
    here: Speaker, cloud: Speaker, status: int
) -> None:
    cloud.script = fails(status, Retry_After="7")
    answer = hybrid(here, cloud).ask(HARD)
    assert answer.local
    assert not answer.receipt.stayed  # it was sent all the same


@pytest.mark.parametrize(
    "said", [{}, {"error": {"message": "the provider fails"}}, {"choices": 7}, {"choices": None}]
)
def test_an_answer_without_an_answer_is_none(here: Speaker, cloud: Speaker, said: Any) -> None:
    cloud.script = lambda asked: (200, said, {})
    assert hybrid(here, cloud).ask(HARD).local
    with pytest.raises(UpstreamFailed, match="says no choices"):
        hybrid(here, cloud).api_model.generate(HARD)


def test_an_answer_has_an_end(here: Speaker, cloud: Speaker) -> None:
    cloud.script = lambda asked: (200, {"choices": ["a" * 2**25]}, {})
    with pytest.raises(UpstreamFailed, match="more than 32 MiB"):
        hybrid(here, cloud).api_model.generate(HARD)


def test_a_key_that_a_server_says_again_is_told_to_nobody(here: Speaker, cloud: Speaker) -> None:
    said = config(here.url, cloud.url)
    said["api"]["api_key"] = "sk-abcdef0123456789"
    cloud.script = fails(401, "Incorrect API key: sk-abcdef0123456789")
    with pytest.raises(UpstreamFailed, match=r"key: \[key\]"):
        HybridLLM(said, classifier=CLASSIFIER).api_model.generate(HARD)


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [("7", 7.0), ("9" * 320, 86_400.0), ("Fri, 31 Dec 2999 23:59:59 GMT", 86_400.0), ("x", None)],
)
def test_a_wait_has_an_end(wait: str, seconds: float | None) -> None:
    assert Reply(429, b"", wait).wait_s == seconds


def test_what_is_nested_without_end_says_nothing() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert Reply(200, deep).said is None
    assert Reply(400, b'{"error":' + deep + b"}").message == ""


def test_what_reached_nobody_has_not_left(here: Speaker, home: Path) -> None:
    with speaking(HANOI) as gone:
        pass
    answer = hybrid(here, gone).ask(HARD)
    receipt = answer.receipt
    assert (answer.local, receipt.stayed, receipt.sent) == (True, True, ())
    assert receipt.tried == (gone.url.removesuffix("/v1"),)
    rows = [json.loads(line) for line in (home / "egress.jsonl").read_text().splitlines()]
    settled = next(row for row in rows if row["kind"] == "settled")
    assert (settled["outcome"], settled["sent"], settled["received"]) == ("unreached", 0, 0)


def test_what_was_refused_has_left(here: Speaker, cloud: Speaker, home: Path) -> None:
    cloud.script = fails(429, "slow down", Retry_After="7")
    answer = hybrid(here, cloud).ask(HARD)
    assert not answer.receipt.stayed
    rows = [json.loads(line) for line in (home / "egress.jsonl").read_text().splitlines()]
    left, settled = (
        next(row for row in rows if row["kind"] == kind) for kind in ("departure", "settled")
    )
    assert (settled["outcome"], settled["sent"]) == ("busy", left["bytes"])
    assert settled["received"] > 0


def test_a_server_that_is_gone_is_left_alone(here: Speaker, cloud: Speaker) -> None:
    with speaking(HANOI) as gone:
        pass
    now = [0.0]
    llm = hybrid(here, gone, clock=lambda: now[0])
    for _ in range(3):
        assert llm.ask(HARD).local
    assert [one.candidate.name for one in llm.plan(HARD).ruled_out] == ["openai/gpt-4o-mini"]
    now[0] = 31.0
    assert llm.plan(HARD).first.model == "openai/gpt-4o-mini"


def test_calls_of_an_hour_are_counted(here: Speaker, cloud: Speaker) -> None:
    now = [0.0]
    routing = {"max_api_calls_per_hour": 2}
    llm = hybrid(here, cloud, routing=routing, clock=lambda: now[0])
    assert [llm.ask(HARD).local for _ in range(3)] == [False, False, True]
    assert len(cloud.asked) == 2
    now[0] = 3601.0
    assert not llm.ask(HARD).local


def test_what_could_not_leave_is_no_call(here: Speaker, cloud: Speaker, home: Path) -> None:
    (home / "egress.jsonl").mkdir(parents=True)
    llm = hybrid(here, cloud, routing={"max_api_calls_per_hour": 1})
    assert llm.ask(HARD).local
    (home / "egress.jsonl").rmdir()
    assert not llm.ask(HARD).local


# ── what may leave ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("label", ["secret", "nobody-knows"])
def test_what_must_stay_stays(here: Speaker, cloud: Speaker, label: str) -> None:
    here.script = fails(500)
    llm = hybrid(here, cloud)
    with pytest.raises(UpstreamFailed):
        llm.ask(HARD, label=label)
    assert not cloud.asked


def test_a_key_in_the_context_makes_it_stay(here: Speaker, cloud: Speaker) -> None:
    key = "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEQ"
    assert hybrid(here, cloud).ask(HARD, key).local
    assert not cloud.asked


def test_a_detector_that_fails_lets_nothing_out(here: Speaker, cloud: Speaker) -> None:
    def broken(text: str) -> list[Any]:
        raise OSError("disk")

    assert hybrid(here, cloud, find=broken).ask(HARD).local
    assert not cloud.asked


def test_the_api_alone_refuses_what_must_stay(here: Speaker, cloud: Speaker) -> None:
    llm = hybrid(here, cloud, label="secret")
    with pytest.raises(NoCandidate) as caught:
        llm.api_model.generate(HARD)
    assert caught.value.status == 403
    assert llm.local_model.generate(HARD)


def test_offline_asks_nobody_elsewhere(here: Speaker, cloud: Speaker, home: Path) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("offline = true\n")
    assert hybrid(here, cloud).ask(HARD).local
    assert not cloud.asked


def test_openrouter_is_asked_to_keep_nothing() -> None:
    router = Endpoint("https://openrouter.ai/api/v1", "", httpx2.Client)
    made = _for_provider(router, {"model": "m", "provider": {"sort": "x"}})
    assert made["provider"] == {"sort": "x", "data_collection": "deny"}
    other = Endpoint("https://openrouter.ai.example.com/v1", "", httpx2.Client)
    assert "provider" not in _for_provider(other, {"model": "m"})


def test_who_takes_openrouters_key_is_asked_the_same(
    here: Speaker, cloud: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not hybrid(here, cloud).ask(HARD).local
    assert "provider" not in cloud.asked[-1]
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")
    assert not hybrid(here, cloud).ask(HARD).local
    assert cloud.asked[-1]["provider"] == {"data_collection": "deny"}


@pytest.mark.parametrize(
    ("side", "url"),
    [
        ("local", "http://8.8.8.8/v1"),
        ("local", "https://api.example.com/v1"),
        ("local", "http://134744072/v1"),  # 8.8.8.8, as some systems write it
        ("local", "http://0x08080808/v1"),
        ("local", "http://anna:password@localhost:8000/v1"),
        ("local", "localhost:8000/v1"),
        ("local", "http://[half/v1"),
        ("api", "https://anna:password@api.example.com/v1"),
        ("api", "http://api.example.com/v1"),
    ],
)
def test_an_address_that_would_give_prompts_away_is_refused(side: str, url: str) -> None:
    said = config("http://127.0.0.1:1/v1", "https://127.0.0.1:1/v1")
    said[side]["endpoint"] = url
    with pytest.raises(SettingsError) as refused:
        HybridLLM(said, classifier=CLASSIFIER).ask(EASY if side == "local" else HARD)
    assert "password@" not in str(refused.value)


# ── configuration, conversations ────────────────────────────────────────────


@pytest.mark.parametrize("said", ["hybrid", [1], {"api": None}, {1: 2}])
def test_what_is_no_configuration_is_refused(said: Any) -> None:
    with pytest.raises(SettingsError, match="LLM_CONFIG"):
        HybridLLM(said, classifier=CLASSIFIER)


def test_a_key_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="simple_treshold"):
        HybridLLM({"routing": {"simple_treshold": 0.7}}, classifier=CLASSIFIER)


def test_without_an_api_nobody_elsewhere_is_asked(here: Speaker) -> None:
    llm = HybridLLM({"local": {"endpoint": here.url}}, classifier=CLASSIFIER)
    assert llm.ask(HARD).local


def test_a_conversation_stays_where_it_is(here: Speaker, cloud: Speaker) -> None:
    llm = hybrid(here, cloud, classifier=Says({"So sánh": 0.1}, 0.75))
    hard = llm.ask(HARD)
    turns = [{"role": "user", "content": HARD}, {"role": "assistant", "content": hard.text}]
    assert not llm.ask("Cảm ơn, nói rõ hơn đi", turns).local  # 0.75 alone would be simple
    assert llm.ask("Cảm ơn, nói rõ hơn đi").local


@pytest.mark.parametrize(
    ("context", "content"),
    [(None, "q"), ("", "q"), ("c", "c\n\nq"), (["a", "", "b"], "a\n\nb\n\nq")],
)
def test_the_context_stands_before_the_question(context: Any, content: str) -> None:
    assert messages_of("q", context, "s") == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": content},
    ]


@pytest.mark.parametrize(
    ("query", "context"),
    [
        (None, None),
        (b"x", None),
        ("\ud800", None),
        ("x", 5),
        ("x", b"bytes"),
        ("x", {"role": "user"}),
        ("x", [{"role": "user", "content": object()}]),
        ("x", [{"text": "a document"}]),
        ("x", ["a text", {"role": "user", "content": "a turn"}]),
    ],
)
def test_what_is_no_question_is_refused(
    here: Speaker, cloud: Speaker, query: Any, context: Any
) -> None:
    with pytest.raises(UsageError):
        hybrid(here, cloud).ask(query, context)


def test_a_strategy_that_nobody_knows_is_refused(here: Speaker, cloud: Speaker) -> None:
    with pytest.raises(UsageError, match="api_only"):
        hybrid(here, cloud).ask(EASY, strategy="cheapest")


def test_a_response_is_judged_by_itself(here: Speaker, cloud: Speaker) -> None:
    llm = hybrid(here, cloud)
    assert llm.is_good_response("Hà Nội.", EASY)
    assert not llm.is_good_response("", EASY)
    assert json.dumps(llm.plan(EASY).as_json("vi"))


def test_a_plan_is_explained_in_either_language(here: Speaker, cloud: Speaker) -> None:
    llm = HybridLLM(config(here.url, cloud.url))
    english, vietnamese = (llm.plan(HARD).explain(one) for one in ("en", "vi"))
    assert any("asks to compare" in line for line in english)
    assert any("yêu cầu so sánh" in line for line in vietnamese)
    assert not any("asks" in line or "harder" in line for line in vietnamese)


# ── a real model ────────────────────────────────────────────────────────────


def test_a_real_model_says_how_sure_it_is(real_server: RunningServer, home: Path) -> None:
    url = f"{real_server.url}/v1"
    listed = httpx2.get(f"{url}/models").json()["data"]
    fields = {
        "model": "smollm2:135m",  # a store that tests share may list others before it
        "messages": [{"role": "user", "content": "Say hello in one word."}],
        "temperature": 0,
        "max_tokens": 48,
    }
    with contextlib.closing(Clients(Door())) as clients:
        endpoint = Endpoint(url, "", clients.later(url, home_client))
        assert endpoint.first_model() == listed[0]["id"]
        checked = Checked(endpoint, threshold=0.5, samples=2)
        raw, verdict = checked.ask(fields, prior=0.6)
    found = Confidence.of_chat(raw["choices"][0])
    assert found is not None
    assert raw["usage"]["completion_tokens"] - found.tokens in {0, 1}  # perhaps with its end
    assert found.least <= found.mean <= 0
    assert verdict.good or verdict.faults


def test_without_a_configuration_the_environment_is_enough(
    here: Speaker, cloud: Speaker, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_STRATEGY", "hybrid")
    monkeypatch.setenv("LOCAL_LLM_URL", here.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")
    monkeypatch.setenv("NOIBO_ROUTING_API_ENDPOINT", cloud.url)
    llm = HybridLLM()
    assert llm.complexity_classifier.weigh(Query(EASY)).label == "simple"
    assert llm.generate(EASY) == "Hà Nội là thủ đô của Việt Nam."
    hard = "Thiết kế kiến trúc hệ thống chịu lỗi cho ba vùng và chứng minh tính nhất quán của nó"
    assert llm.generate(hard).startswith("Phương án")
    assert (here.asked[0]["model"], cloud.asked[0]["model"]) == ("first", "openai/gpt-4o-mini")
    assert cloud.keys == ["Bearer sk-or-1"]


def test_a_key_alone_asks_nobody_elsewhere(
    here: Speaker, cloud: Speaker, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_LLM_URL", here.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")
    monkeypatch.setenv("NOIBO_ROUTING_API_ENDPOINT", cloud.url)
    assert HybridLLM(classifier=CLASSIFIER).ask(HARD).local
    assert not cloud.asked


def test_both_names_are_there() -> None:
    from noibo.routing import ComplexityClassifier
    from noibo.routing import HybridLLM as Same

    assert Same is HybridLLM
    assert ComplexityClassifier().predict(EASY) == "simple"
