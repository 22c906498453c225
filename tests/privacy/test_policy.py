from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import SettingsError
from noibo.privacy.policy import Policy
from noibo.privacy.sensitivity import UNKNOWN, Rule, Scale
from noibo.settings import Privacy, load


def written(home: Path, text: str) -> Policy:
    home.mkdir(parents=True, exist_ok=True)
    (home / "noibo.toml").write_text(text)
    return Policy.of(load().privacy)


def test_by_default_public_and_internal_leave_personal_is_redacted_and_secret_stays() -> None:
    policy = Policy.of(Privacy())
    assert policy == Policy()
    rules = {label: str(policy.rule(label)) for label in policy.scale.labels}
    assert rules == {
        "public": "leave",
        "internal": "leave",
        "personal": "redact",
        "secret": "stay",
    }
    assert policy.default_label == "internal"
    assert policy.label_of("API_KEY") == policy.label_of("PRIVATE_KEY") == "secret"
    assert policy.label_of("CCCD") == policy.label_of("A_KIND_THAT_IS_NEW") == "personal"


def test_what_is_no_label_stays() -> None:
    assert Policy().rule("topsecret") is Rule.STAY
    assert Policy().rule(UNKNOWN) is Rule.STAY
    assert Policy().scale.known("topsecret") == UNKNOWN
    assert Policy().scale.known(" Secret ") == "secret"
    assert Policy().scale.known(3) == UNKNOWN


labels = st.sampled_from(["public", "internal", "personal", "secret", "unknown", "neu", ""])


@given(st.lists(labels, min_size=1), st.randoms())
def test_the_highest_label_holds_in_any_order(said: list[str], random: object) -> None:
    scale = Scale()
    highest = scale.highest(said)
    assert all(scale.rank(one) <= scale.rank(highest) for one in said)
    for some in itertools.permutations(said[:4]):
        assert scale.highest([scale.highest(some), *said]) == highest


def test_a_house_has_labels_and_rules_of_its_own(home: Path) -> None:
    policy = written(
        home,
        """
        [privacy]
        labels = ["cong_khai", "noi_bo", "mat"]
        default_label = "noi_bo"
        other_types = "noi_bo"
        unscanned = "mat"
        [privacy.rules]
        cong_khai = "leave"
        noi_bo = "redact"
        [privacy.types]
        CCCD = "mat"
        ip = "cong_khai"
        """,
    )
    assert policy.rule("noi_bo") is Rule.REDACT
    assert policy.rule("mat") is Rule.STAY  # nothing is said of it
    assert policy.label_of("CCCD") == policy.label_of("API_KEY") == "mat"
    assert policy.hides("PERSON")
    assert not policy.hides("IP")


def test_the_environment_can_set_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOIBO_PRIVACY_RULES", "personal=stay, secret=stay")
    monkeypatch.setenv("NOIBO_PRIVACY_TYPES", "IP=internal")
    policy = Policy.of(load().privacy)
    assert policy.rule("personal") is Rule.STAY
    assert policy.rule("internal") is Rule.LEAVE
    assert policy.label_of("IP") == "internal"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('labels = ["a", "A"]', "each label once"),
        ('labels = ["a", "unknown"]', "cannot judge"),
        ("labels = []", "no scale"),
        ('labels = ["mật"]', "header"),
        ('default_label = "neu"', "default_label"),
        ('other_types = "neu"', "other_types"),
        ('unscanned = "neu"', "unscanned"),
        ('rules = { neu = "stay" }', "neu"),
        ('rules = { secret = "burn" }', "burn"),
        ('rules = { internal = "stay" }', "below it"),
        ('rules = { secret = "leave" }', "below it"),
        ('types = { CCCD = "neu" }', "types.CCCD"),
        ("rules = 3", "rules"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_to_do(
    home: Path, text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        written(home, f"[privacy]\n{text}\n")
    assert said in f"{caught.value.message} {caught.value.next_step}"
    assert caught.value.next_step


def test_a_model_has_a_label_that_is_one(home: Path) -> None:
    written(home, '[models."a:b.c"]\nlabel = "secret"\n')
    assert load().models["a:b.c"].label == "secret"
    with pytest.raises(SettingsError, match=r"privacy\.labels"):
        written(home, '[models."a:b.c"]\nlabel = "neu"\n')


def test_a_policy_that_decides_otherwise_has_another_fingerprint() -> None:
    usual = Policy().fingerprint
    assert usual == Policy.of(Privacy(instruct=False, detect_s=1.0)).fingerprint
    others = [
        Privacy(rules={"personal": "stay"}),
        Privacy(types={"IP": "public"}),
        Privacy(default_label="public"),
        Privacy(unscanned="secret"),
        Privacy(detect=False),
    ]
    assert len({usual, *(Policy.of(one).fingerprint for one in others)}) == 6
