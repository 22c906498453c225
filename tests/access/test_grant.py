"""What somebody may: a role, of which models and routes only take away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.access.grant import EVERYTHING, ROLES, Grant, Permission, Role, grant_of
from noibo.errors import UsageError

ALL = set(Permission)
USER = {Permission.ASK, Permission.KEEP, Permission.LOOK}
WORDS = st.text(max_size=12)
PATHS = WORDS.map(lambda text: "/" + text.replace(",", ""))
ROUTES = st.lists(st.sampled_from([str(one) for one in Permission]) | PATHS, max_size=4)


@pytest.mark.parametrize(
    ("role", "may"),
    [("user", USER), ("developer", USER | {Permission.MANAGE}), ("admin", ALL)],
)
def test_what_each_role_may(role: Role, may: set[Permission]) -> None:
    assert {one for one in Permission if Grant(role).may(one, "/any")} == may


@given(
    st.sampled_from(ROLES),
    st.lists(WORDS, max_size=3),
    ROUTES,
    st.sampled_from(list(Permission)),
    PATHS,
)
def test_a_scope_only_takes_away(
    role: Role, models: list[str], routes: list[str], permission: Permission, path: str
) -> None:
    narrowed = grant_of(role, models, routes)
    if narrowed.may(permission, path):
        assert Grant(role).may(permission, path)
        assert Grant("admin").may(permission, path)
    if narrowed.models:
        assert not narrowed.may(Permission.MANAGE, path)
        assert not narrowed.may(Permission.ADMIN, path)


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS, WORDS)
def test_more_patterns_never_take_away(models: list[str], more: str, name: str) -> None:
    if Grant("user", tuple(models)).may_use(name):
        assert Grant("user", (*models, more)).may_use(name)


def test_a_grant_for_paths_covers_these_paths_only() -> None:
    grant = Grant("user", routes=("/v1/embeddings", "/api/*", "look"))
    assert grant.may(Permission.ASK, "/v1/embeddings")
    assert grant.may(Permission.ASK, "/api/embed")
    assert grant.may(Permission.LOOK, "/noibo/v1/models")
    assert not grant.may(Permission.ASK, "/v1/chat/completions")
    assert not grant.may(Permission.ASK, "/V1/embeddings")
    assert not grant.may(Permission.KEEP, "/v1/embeddings/more")
    assert not grant.may(Permission.MANAGE, "/api/pull")  # the role's end


def test_a_grant_for_models_covers_these_models_only() -> None:
    grant = Grant("user", ("qwen*", "fills", "Acme/Phi:4b"))
    assert all(map(grant.may_use, ("qwen3:4b", "QWEN:latest", "fills:latest", "acme/phi:4b")))
    assert not any(
        map(grant.may_use, ("smollm2:135m", "fills:4b", "acme/phi:latest", "", "x-qwen"))
    )
    assert grant.may_use("an-alias", "fills:latest")
    assert EVERYTHING.may_use("whatever")


def test_what_is_typed_may_have_commas() -> None:
    found = grant_of("user", ["a, b", "c", "a"], ["ask,keep", " /v1/* "])
    assert (found.models, found.routes) == (("a", "b", "c"), ("ask", "keep", "/v1/*"))


@pytest.mark.parametrize(
    ("role", "routes", "words"),
    [
        ("root", (), "no role 'root'"),
        ("", (), "no role ''"),
        ("user", ("v1/embeddings",), "neither a path nor a permission"),
        ("user", ("everything",), "neither a path nor a permission"),
    ],
)
def test_what_is_no_grant_is_refused_in_words(role: str, routes: tuple[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        grant_of(role, (), routes)
