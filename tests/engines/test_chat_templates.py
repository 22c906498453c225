"""Chat templates of many families: as transformers renders them, by the engine and by ourselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jinja2
import pytest

from noibo import settings
from noibo.engines.chat_template import ChatTemplate, thinks_by_itself
from noibo.engines.engine import Model, Verb
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.book import Book
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.errors import EngineRefused, NoiboError
from tests.conftest import CACHE, SHARED
from tests.engines.chat_cases import CHATS, JOINED, Chat

FOLDER = SHARED / "data" / "conformance" / "chat_templates"
ALL = sorted(path.stem for path in FOLDER.glob("*.jinja"))
SMOLLM2 = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
MANY = 33

# What the engine renders otherwise, and why that does no harm. Each is asserted to differ.
_QUOTES = "prints values as Python does, and picks other quotes round a text that has both"
_ESCAPES = "escapes what is said of tools for HTML, by accident; the engine does not"
_DROPS = "drops what was thought; the engine puts it where the template wants it"
_LOSES = "knows no thoughts; told one, the engine loses the answer too: the server tells it none"
_TRIMS = "keeps the space at the end of a message; the engine does not"
_ADDS = "takes no prompt for an answer; the engine adds one"
_TAUGHT = "knows no tools and drops them; noibo teaches it to say them"
_TOOLS = ("tools", "system, tools", "called", "called, went on", "called twice", "thought, called")
OTHERWISE = {
    "Apriel-1.6-15b-Thinker-fixed": {"tools, quotes": _QUOTES},
    "unsloth-Apriel-1.5": {"tools, quotes": _QUOTES},
    "meetkai-functionary-medium-v3.1": dict.fromkeys((*_TOOLS, "tools, quotes"), _ESCAPES),
    "mistralai-Ministral-3-14B-Reasoning-2512": {"thought": _DROPS, "thought, called": _DROPS},
    "unsloth-mistral-Devstral-Small-2507": {"thought": _LOSES},
    "StepFun3.5-Flash": {"plain": _TRIMS},
    "google-gemma-2-2b-it": dict.fromkeys(("tools", "tools, quotes"), _TAUGHT),
    "HuggingFaceTB-SmolLM3-3B": dict.fromkeys((*_TOOLS, "tools, quotes"), _TAUGHT),
    "upstage-Solar-Open-100B": {"no prompt": _ADDS},
}
# Where transformers raises there is nothing to compare; what the engine does then is its own.
# Content in parts is not listed: a template that raises at them is one that takes none.
_WITHOUT_TOOLS = {
    "plain",
    "system",
    "turns",
    "system, turns",
    "no prompt",
    "thought",
    "to think",
    "not to think",
}
_CALLED = {"called", "called, went on", "called twice", "thought, called"}
RAISED = {
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": _WITHOUT_TOOLS,  # iterates over no tools
    "Kimi-K2-Instruct": _CALLED,  # appends to a list, which the sandbox refuses
    "llama-cpp-deepseek-r1": {"tools", "tools, quotes", "system, tools"} | _CALLED,  # a generator
    "google-gemma-2-2b-it": {"system", "system, turns", "system, tools"} | _CALLED,  # by its word
}


def source(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def chat_fields(chat: Chat) -> dict[str, Any]:
    return chat.for_transformers() | SMOLLM2


@asynccontextmanager
async def engine(gguf: Path, template: str, folder: Path) -> AsyncIterator[Upstream]:
    """A worker of the real engine, with that template."""
    tree = settings.Settings(engine=settings.Engine(ctx_size=512, parallel=1), home=folder)
    tuning, book = Tuning(folder / "tuning.json"), Book(folder / "memory.json")
    supervisor = Supervisor({"llama_cpp": LlamaCpp()}, tree, tuning, book)
    model = Model("m", "llama_cpp", gguf, 134_515_008, 8192, template=template)
    try:
        async with new_session() as session, supervisor.lease(Claim(model)) as worker:
            yield Upstream(worker, session)
    finally:
        await supervisor.close()


async def by_engine(upstream: Upstream, chat: Chat) -> Any:
    """What the engine renders, or that it refuses."""
    try:
        found = await upstream.ask(Verb.TOKENISE, "/apply-template", chat.body())
    except EngineRefused as error:
        return {"raised": error.message}
    return found["prompt"]


@pytest.fixture(scope="session")
def transformers_python() -> Path:
    """A Python with transformers, and without PyTorch; made once."""
    python = CACHE / "transformers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE / "transformers"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "transformers>=5", "jinja2"]
        subprocess.run(pip, check=True)
    return python


@pytest.fixture(scope="session")
def by_transformers(transformers_python: Path) -> dict[str, dict[str, Any]]:
    """All chats by all templates."""
    chats = CHATS | {"joined": JOINED}
    jobs = [
        {"template": source(name), "chat": chat_fields(chat)}
        for name in ALL
        for chat in chats.values()
    ]
    script = Path(__file__).with_name("transformers_chat.py")
    done = subprocess.run(
        [transformers_python, script],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    found = iter(json.loads(done.stdout))
    return {name: {case: next(found) for case in chats} for name in ALL}


def raised(found: Any) -> bool:
    return isinstance(found, dict)


@pytest.mark.shared
def test_all_templates_are_there() -> None:
    assert len(ALL) == MANY
    assert set(OTHERWISE) <= set(ALL)


@pytest.mark.shared
@pytest.mark.anyio
async def test_the_engine_renders_as_we_do(smollm2_gguf: Path, tmp_path: Path) -> None:
    """And we as transformers, which the tests below compare. Of a template that does not think
    when nothing is said."""
    template = source("deepseek-ai-DeepSeek-V3.2")
    ours = ChatTemplate(template, **SMOLLM2)
    async with engine(smollm2_gguf, template, tmp_path) as upstream:
        for case, chat in CHATS.items():
            wanted = JOINED if case == "parts" else chat
            assert await by_engine(upstream, chat) == ours.render(**wanted.for_transformers()), case


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.shared
@pytest.mark.anyio
@pytest.mark.parametrize("name", ALL)
async def test_the_engine_renders_as_transformers_does(
    smollm2_gguf: Path, tmp_path: Path, by_transformers: dict[str, dict[str, Any]], name: str
) -> None:
    otherwise, refused = set(), set()
    async with engine(smollm2_gguf, source(name), tmp_path) as upstream:
        for case, chat in CHATS.items():
            text, wanted = await by_engine(upstream, chat), by_transformers[name][case]
            if case == "parts" and text == by_transformers[name]["joined"]:
                continue  # the template takes no parts: they are joined by line ends
            if raised(text):
                refused.add(case)
            elif not raised(wanted) and text != wanted:
                otherwise.add(case)
    assert otherwise == set(OTHERWISE.get(name, {}))
    assert not refused


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.shared
def test_where_transformers_raises_is_known(by_transformers: dict[str, dict[str, Any]]) -> None:
    found = {
        name: {case for case in CHATS if case != "parts" and raised(texts[case])}
        for name, texts in by_transformers.items()
    }
    assert {name: cases for name, cases in found.items() if cases} == RAISED


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.shared
@pytest.mark.parametrize("name", ALL)
def test_we_render_as_transformers_does(
    by_transformers: dict[str, dict[str, Any]], name: str
) -> None:
    template = ChatTemplate(source(name), **SMOLLM2)
    for case, chat in CHATS.items():
        wanted = by_transformers[name][case]
        if raised(wanted):
            with pytest.raises(Exception, match=r"."):
                template.render(**chat.for_transformers())
        else:
            assert template.render(**chat.for_transformers()) == wanted, case


@pytest.mark.shared
def test_templates_that_think_only_when_told_are_known() -> None:
    assert {name for name in ALL if not thinks_by_itself(source(name))} == {
        "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
        "Reka-Edge",
        "deepseek-ai-DeepSeek-V3.2",
        "poolside-Laguna-XS-2.1",
        "poolside-Laguna-XS.2",
    }


def test_a_template_that_cannot_be_asked_counts_as_one_that_thinks() -> None:
    for template in ("", "{% for %}", "{{ raise_exception('no') }}", "{{ 1 / 0 }}"):
        assert thinks_by_itself(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ ''.__init__.__globals__['os'].system('id') }}",
        "{{ '{0.__class__.__mro__}'.format(1) ~ ''.__class__ }}",
        "{% set _ = messages.append(1) %}",
        "{{ range(999999999) }}",
    ],
)
def test_a_template_stays_in_its_sandbox(template: str) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with pytest.raises((jinja2.TemplateError, OverflowError)):
        ChatTemplate(template).render(messages)
    assert messages == [{"role": "user", "content": "Hi"}]


HOSTILE = {
    "reach": "{{ messages.__class__ }}{{ cycler.__init__.__globals__ }}{{ ''.__class__.__mro__ }}.",
    "fill": "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    "{% for i in range(999999999) %}x{% endfor %}",
}


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_template_harms_nobody(
    smollm2_gguf: Path, tmp_path: Path, name: str
) -> None:
    """It renders nothing of Python, or gives way to the file's own."""
    async with engine(smollm2_gguf, HOSTILE[name], tmp_path) as upstream:
        text = await by_engine(upstream, CHATS["system"])
    assert text == "." or text.startswith("<|im_start|>system\nBe brief.<|im_end|>")


@pytest.mark.shared
def test_the_hostile_file_is_no_model(shared: Path) -> None:
    from noibo.modelstore.runnable import files_of

    with pytest.raises(NoiboError):
        files_of(shared / "hostile" / "gguf" / "own_chat_template_ssti.gguf")
