"""Templates of Ollama's, translated, print what Go's text/template prints.

`go_templates.json` holds templates made for these tests, in the ways that real ones are written,
and what Go printed for each conversation, with Ollama's own steps around it (`Execute`).
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, tuples
from jinja2.sandbox import ImmutableSandboxedEnvironment

from noibo.modelstore.ollama.go_template import UntranslatableTemplate, to_jinja

CASES = json.loads(Path(__file__).with_name("go_templates.json").read_text(encoding="utf-8"))
CONVERSATIONS: dict[str, dict[str, Any]] = CASES["conversations"]
TEMPLATES = {entry["name"]: entry for entry in CASES["templates"]}
SCRAPS = (
    "", "{{", "}}", "{{-", "-}}", "(", ")", ":=", "=", "$x", "$", ".", ".Messages", ".Role",
    ".Tools", "range", "if", "else", "end", "with", "\"", "`", "'", "eq", "and", "slice",
    "index", "len", "printf \"%s\"", "\\", "%", "0", "-1", "nil", "break", "continue",
    ".Response", "{{ end }}", "{{ else }}", "/*", "*/", ",",
)  # fmt: skip
USER = {"role": "user", "content": "Hi?"}


def hugging_face() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up for chat templates."""

    def tojson(
        x: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = tojson
    environment.globals["strftime_now"] = datetime.now().strftime
    return environment


JINJA = hugging_face()


def printed(template: str, **values: Any) -> str:
    asked = {"add_generation_prompt": True, "messages": [USER]} | copy.deepcopy(values)
    return JINJA.from_string(to_jinja(template)).render(**asked)


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_prints_what_go_prints(name: str) -> None:
    entry = TEMPLATES[name]
    translated = JINJA.from_string(to_jinja(entry["template"]))
    for conversation, wanted in entry["printed"].items():
        values = copy.deepcopy(CONVERSATIONS[conversation])
        got = translated.render(add_generation_prompt=True, **values)
        assert got == wanted, conversation
    assert len(entry["printed"]) == len(CONVERSATIONS)


_ENGINE = """
import json, os, sys, urllib.request, xllamacpp
asked = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path, params.chat_template = asked["model"], asked["template"]
params.n_ctx, params.n_parallel, params.port, params.hostnames = 256, 1, 0, ["127.0.0.1"]
params.warmup = params.ui = params.fit_params = False
params.verbosity, params.offline = 0, True
server = xllamacpp.Server(params)  # it answers as long as somebody holds it
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
found = []
for body in asked["bodies"]:
    request = urllib.request.Request(
        server.listening_address + "/apply-template", json.dumps(body).encode()
    )
    found.append(json.load(opener.open(request, timeout=60))["prompt"])
print("\\n" + json.dumps(found), flush=True)
os._exit(0)
"""
# llama.cpp itself goes on with an answer that was begun, whatever the template does.
_NOT_BY_TEMPLATE = {"an answer begun", "thought", "nothing", "a system prompt alone"}


@pytest.mark.parametrize(
    "name",
    ["qwen-like, tools and thinking", "chatml-like, turns", "command-like, continue, properties"],
)
def test_llama_cpp_prints_the_same(name: str, smollm2_gguf: Path) -> None:
    entry = TEMPLATES[name]
    chosen = [title for title in entry["printed"] if title not in _NOT_BY_TEMPLATE]
    asked = {
        "model": str(smollm2_gguf),
        "template": to_jinja(entry["template"]),
        "bodies": [_as_request(CONVERSATIONS[title]) for title in chosen],
    }
    done = subprocess.run(
        [sys.executable, "-c", _ENGINE],
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert dict(zip(chosen, got, strict=True)) == {
        title: entry["printed"][title] for title in chosen
    }


def _as_request(conversation: dict[str, Any]) -> dict[str, Any]:
    """As a client of OpenAI's protocol sends it: arguments are texts."""
    body = copy.deepcopy(conversation)
    for message in body["messages"]:
        for call in message.get("tool_calls", []):
            call["type"] = "function"
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = json.dumps(
                arguments, ensure_ascii=False, separators=(",", ":")
            )
    thinking = body.pop("enable_thinking", None)
    if thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": thinking}
    effort = body.pop("reasoning_effort", None)
    if effort is not None:
        body["chat_template_kwargs"] = {"reasoning_effort": effort}
    return body


@pytest.mark.parametrize(
    "number",
    ["0x" + "f" * 6000, "1" + "0" * 6000, "1" + "0" * 30, "-0x8000000000000001", "1e999", "1e40"],
)
def test_numbers_of_more_than_64_bits_are_refused(number: str) -> None:
    with pytest.raises(UntranslatableTemplate, match="64 bits"):
        to_jinja(f"{{{{ if eq 1 {number} }}}}x{{{{ end }}}}{{{{ .Prompt }}}}")


def test_what_follows_the_response_belongs_to_finished_turns() -> None:
    template = "<{{ .Prompt }}>{{ .Response }}</s>"
    talk = [USER, {"role": "assistant", "content": "Hello."}]
    assert printed(template, messages=talk) == "<Hi?>Hello."
    assert printed(template, messages=[*talk, USER]) == "<Hi?>Hello.</s><Hi?>"
    assert printed(template, messages=talk, add_generation_prompt=False) == "<Hi?>Hello.</s>"
    assert printed(template, messages=[USER], add_generation_prompt=False) == "<Hi?>"


def test_a_tool_answers_name_is_that_of_its_call() -> None:
    template = "{{ range .Messages }}{{ if .ToolName }}{{ .ToolName }};{{ end }}{{ end }}"
    calls = [
        {"id": "1", "function": {"name": "first", "arguments": "{}"}},
        {"id": "2", "function": {"name": "second", "arguments": "{}"}},
    ]
    talk = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "x", "tool_call_id": "2"},
        {"role": "tool", "content": "y", "tool_call_id": "1"},
        {"role": "tool", "content": "z", "tool_call_id": "3"},
        {"role": "tool", "content": "z", "tool_call_id": "1", "name": "own"},
    ]
    assert printed(template, messages=talk) == "second;first;own;"


def test_contents_may_be_parts_or_nothing() -> None:
    template = "{{ range .Messages }}[{{ .Content }}]{{ end }}"
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "b"},
    ]
    assert printed(template, messages=[{"role": "user", "content": parts}]) == "[ab]"
    assert printed(template, messages=[{"role": "assistant", "content": None}]) == "[]"
    assert printed(template, messages=[{"role": "assistant"}]) == "[]"


def test_arguments_that_are_texts_stay_as_they_are() -> None:
    template = (
        "{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }}{{ end }}"
    )
    call = {"function": {"name": "f", "arguments": '{"b": 1, "a": "<"}'}}
    talk = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    assert printed(template, messages=talk) == '{"b": 1, "a": "<"}'


def test_dates_are_todays_and_yesterdays() -> None:
    before = date.today()
    got = printed("{{ currentDate }} {{ yesterdayDate }}{{ range .Messages }}{{ end }}")
    days = [(day, day - timedelta(1)) for day in (before, date.today())]  # midnight may pass
    assert got in {f"{today} {yesterday}" for today, yesterday in days}


@pytest.mark.parametrize(
    ("today", "yesterday"),
    [
        ("2026-03-01", "2026-02-28"),
        ("2024-03-01", "2024-02-29"),
        ("2100-03-01", "2100-02-28"),
        ("2026-01-01", "2025-12-31"),
        ("2026-05-01", "2026-04-30"),
        ("2026-12-10", "2026-12-09"),
    ],
)
def test_yesterday_is_right_at_the_ends_of_months(today: str, yesterday: str) -> None:
    template = to_jinja("{{ yesterdayDate }}{{ range .Messages }}{{ end }}")
    then = datetime.fromisoformat(today)
    assert JINJA.from_string(template).render(messages=[], strftime_now=then.strftime) == yesterday


def test_typescript_types_of_every_shape() -> None:
    template = (
        "{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}"
        "{{ toTypeScriptType $p }};{{ end }}{{ end }}{{ range .Messages }}{{ end }}"
    )
    shapes: list[tuple[Any, str]] = [
        ({"type": "integer"}, "number"),
        ({"type": ["array", "null"]}, "any[] | null"),
        ({"type": "object"}, "Record<string, any>"),
        ({"anyOf": [{"type": "string"}, {"type": ["boolean", "x"]}]}, "string | boolean | any"),
        ({}, "any"),
    ]
    properties = {str(number): shape for number, (shape, _) in enumerate(shapes)}
    tool = {"function": {"name": "f", "parameters": {"properties": properties}}}
    assert printed(template, tools=[tool]) == "".join(f"{wanted};" for _, wanted in shapes)


def test_tools_may_lack_what_they_need_not_have() -> None:
    template = (
        "{{ range .Messages }}{{ end }}{{ range .Tools }}{{ .Function.Description }}"
        "{{ range $n, $p := .Function.Parameters.Properties }}{{ $n }}{{ end }}"
        "{{ .Function.Parameters.Required }}{{ end }}"
    )
    assert printed(template, tools=[{"type": "function", "function": {"name": "f"}}]) == "[]"
    assert printed(template, tools=None) == ""
    assert printed(template) == ""


def test_only_what_a_template_uses_is_read_from_a_request() -> None:
    plain = to_jinja("{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}")
    for word in ("tool_calls", "reasoning_content", "tools", "tool_call_id", "macro"):
        assert word not in plain
    assert "tool_calls" in to_jinja("{{ range .Messages }}{{ .ToolCalls }}{{ end }}")


UNTRANSLATABLE = {
    "a definition": '{{ define "x" }}{{ end }}',
    "another template": '{{ template "x" . }}',
    "a block": '{{ block "x" . }}{{ end }}',
    "an unknown function": "{{ .Prompt | upper }}",
    "a method with arguments": "{{ .Prompt.Get 1 }}",
    "html": "{{ html .Prompt }}",
    "no end": "{{ if .Prompt }}x",
    "an end too many": "x{{ end }}",
    "an else alone": "{{ else }}",
    "two else": "{{ if .Prompt }}{{ else }}{{ else }}{{ end }}",
    "range with an else if": "{{ range .Messages }}{{ else if .System }}{{ end }}",
    "nothing inside": "{{ }}",
    "nothing after the bar": "{{ .Prompt | }}",
    "a parenthesis open": "{{ (.Prompt }}",
    "a parenthesis too many": "{{ .Prompt) }}",
    "an action open": "{{ .Prompt",
    "a text open": '{{ "x }}',
    "a comment open": "{{/* x }}",
    "a comment with company": "{{/* x */ .Prompt }}",
    "an unknown mark": "{{ .Prompt & .System }}",
    "an unknown escape": r'{{ "\q" }}',
    "half a character": r'{{ "\ud800" }}',
    "two characters in one": "{{ 'ab' }}",
    "not a number": "{{ 1_ }}{{ 0b2 }}",
    "a variable nobody declared": "{{ $x }}",
    "a variable of another place": "{{ if .Prompt }}{{ $x := 1 }}{{ end }}{{ $x }}",
    "a value for a variable nobody declared": "{{ $x = 1 }}",
    "the root as a variable": "{{ $ := 1 }}",
    "break outside": "{{ break }}",
    "break with a value": "{{ range .Messages }}{{ break 1 }}{{ end }}",
    "a member that is not there": "{{ range .Messages }}{{ .Colour }}{{ end }}",
    "a member of a text": "{{ range .Messages }}{{ .Role.Name }}{{ end }}",
    "a whole message": "{{ range .Messages }}{{ . }}{{ end }}",
    "all messages": "{{ json .Messages }}",
    "range over a text": "{{ range .Messages }}{{ range .Role }}{{ end }}{{ end }}",
    "range over a truth": "{{ range .Messages }}{{ end }}{{ range .Think }}{{ end }}",
    "index of a text": "{{ range .Messages }}{{ index .Role 0 }}{{ end }}",
    "index of a list by a text": '{{ index .Messages "0" }}',
    "slice of a map": "{{ range .Tools }}{{ slice .Function.Parameters.Properties 1 }}{{ end }}"
    "{{ range .Messages }}{{ end }}",
    "printf without a constant": "{{ printf .Prompt }}",
    "printf with another verb": '{{ printf "%x" .Prompt }}',
    "printf with too little": '{{ printf "%s" }}',
    "printf with too much": '{{ printf "s" .Prompt }}',
    "eq of one": "{{ eq .Prompt }}",
    "lt of three": "{{ lt 1 2 3 }}",
    "len of two": "{{ len .Prompt .System }}",
    "range into known variables": "{{ $i := 0 }}{{ range $i = .Messages }}{{ end }}",
    "everything": "{{ . }}",
    "everything as JSON": "{{ json $ }}",
    "everything compared": "{{ if eq . 1 }}{{ end }}",
    "what would double forty times": "{{ " + "slice (" * 40 + ".Prompt" + " 1)" * 40 + " }}",
    "what would treble forty times": "{{ " + "eq (" * 40 + "1" + ") 2 3 4" * 40 + " }}",
    "much, a thousand times": ("{{ " + "slice (" * 9 + ".Prompt" + ") 1" * 9 + " }}") * 1000,
    "too deep": "{{ if 1 }}" * 500 + "{{ end }}" * 500,
    "too deep in parentheses": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "too many else": "{{ if 1 }}" + "{{ else if 1 }}" * 5000 + "{{ end }}",
    "too long": "x" * 300_000,
}


@pytest.mark.parametrize("template", UNTRANSLATABLE.values(), ids=UNTRANSLATABLE)
def test_what_cannot_be_said_in_jinja_is_refused(template: str) -> None:
    with pytest.raises(UntranslatableTemplate):
        to_jinja(template)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    name=sampled_from(sorted(TEMPLATES)),
    cuts=lists(tuples(integers(0, 2000), integers(0, 12), sampled_from(SCRAPS)), max_size=4),
)
def test_a_damaged_template_is_refused_or_becomes_jinja(
    name: str, cuts: list[tuple[int, int, str]]
) -> None:
    template = TEMPLATES[name]["template"]
    for place, length, scrap in cuts:
        at = place % (len(template) + 1)
        template = template[:at] + scrap + template[at + length :]
    try:
        translated = to_jinja(template)
    except UntranslatableTemplate:
        return
    JINJA.from_string(translated)


@pytest.mark.parametrize(
    "text",
    [
        "{% raw %}{{ '{{' }}{% endraw %}",
        "'}}' \"%}\" {#",
        "\\' \\\\n \\",
        "a\r\nb\rc\td\x00e\x0bf",
        "ｕｎｉ　\u2028\u00e9 🙂 {%- set messages = [] -%}",
        "\n\n \n",
    ],
)
def test_text_comes_out_as_it_stands(text: str) -> None:
    source = text.replace("{{ '{{' }}", "")  # an action of Go's own
    wanted = source.replace("\r\n", "\n")
    assert printed(source + "{{ range .Messages }}{{ end }}") == wanted
    quoted = "`" + source.replace("`", "") + "`"
    assert printed(f"{{{{ {quoted} }}}}{{{{ range .Messages }}}}{{{{ end }}}}") == wanted


def test_names_of_variables_are_ours() -> None:
    template = "{{ $messages := 1 }}{{ $go := 2 }}{{ $été := 3 }}{{ $loop := 4 }}{{ $_ := 5 }}"
    template += (
        "{{ range .Messages }}{{ $messages }}{{ $go }}{{ $été }}{{ $loop }}{{ $_ }}{{ end }}"
    )
    assert printed(template) == "12345"


@pytest.mark.shared
def test_a_jinja_template_is_no_go_template(shared: Path) -> None:
    """Real templates of the other kind: never an accident, always a refusal or plain text."""
    check: Callable[[str], str] = to_jinja
    folder = shared / "conformance/chat_templates"
    refused = 0
    for path in sorted(folder.glob("*.jinja")):
        try:
            check(path.read_text(encoding="utf-8"))
        except UntranslatableTemplate:
            refused += 1
    assert refused >= 30
