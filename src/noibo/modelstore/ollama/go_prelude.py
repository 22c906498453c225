"""What stands before a translated template: a request's messages, as Ollama hands them over.

Ollama joins neighbouring messages of one role, collects the system's, and for templates that know
only `.System`, `.Prompt` and `.Response` makes turns of the messages (ollama/ollama,
template/template.go, `Execute` and `collate`). Written for every Jinja that runs chat templates:
Hugging Face's sandbox and llama.cpp's own engine. Nothing is read from a message that the template
does not use: llama.cpp tells by that what a template can do.
"""

from __future__ import annotations

from typing import Final

# A content may be a list of parts; engines put their own marks where an image stands.
_TEXT: Final = (
    "message['content'] if message['content'] is string else "
    "((message['content'] or []) | selectattr('type', 'equalto', 'text')"
    " | map(attribute='text') | join(''))"
)

# Members beyond role and content, by the name a template uses: how a fresh message has them, and
# how one that another is joined to.
_EXTRA: Final = {
    "thinking": (
        "'thinking': message['reasoning_content'] or message['thinking'] or ''",
        "'thinking': last['thinking']",
    ),
    "toolcalls": (
        "'tool_calls': message['tool_calls'] or []",
        "'tool_calls': last['tool_calls'] + (message['tool_calls'] or [])",
    ),
    "toolname": ("'tool_name': go.tool_name", "'tool_name': last['tool_name']"),
    "toolcallid": (
        "'tool_call_id': message['tool_call_id'] or ''",
        "'tool_call_id': last['tool_call_id']",
    ),
    "images": ("'images': []", "'images': []"),
}

# A tool's answer may name only the call it answers; the call has the name.
_TOOL_NAME: Final = (
    "{%- for call in message['tool_calls'] or [] -%}",
    "{%- set go.calls = go.calls + [call] -%}",
    "{%- endfor -%}",
    "{%- set go.tool_name = message['name'] or message['tool_name'] or '' -%}",
    "{%- if message['role'] == 'tool' and not go.tool_name -%}",
    "{%- for call in go.calls -%}",
    "{%- if call['id'] and call['id'] == message['tool_call_id'] -%}",
    "{%- set go.tool_name = call['function']['name'] -%}",
    "{%- endif -%}",
    "{%- endfor -%}",
    "{%- endif -%}",
)

_TURNS: Final = (
    "{%- for message in go.messages -%}",
    "{%- if message['role'] == 'system' -%}",
    "{%- if go.prompt or go.response -%}",
    "{FLUSH}",
    "{%- endif -%}",
    "{%- set go.told = message['content'] -%}",
    "{%- elif message['role'] == 'user' -%}",
    "{%- if go.response -%}",
    "{FLUSH}",
    "{%- endif -%}",
    "{%- set go.prompt = message['content'] -%}",
    "{%- elif message['role'] == 'assistant' -%}",
    "{%- set go.response = message['content'] -%}",
    "{%- endif -%}",
    "{%- endfor -%}",
    "{%- set go.whole = go.response != '' and not (add_generation_prompt | default(true)) -%}",
    "{TURN}",
)
_TURN: Final = (
    "{%- set go.turns = go.turns + [{'system': go.told, 'prompt': go.prompt, "
    "'response': go.response, 'whole': go.whole}] -%}"
)
_FLUSH: Final = (
    _TURN + "{%- set go.told = '' -%}{%- set go.prompt = '' -%}{%- set go.response = '' -%}"
)

MACROS: Final = {
    "go_text": (
        "{%- macro go_text(x) -%}",
        "{%- if x is string -%}{{- x -}}",
        "{%- elif x is defined -%}{{- x | tojson(separators=[',', ':']) -}}",
        "{%- endif -%}",
        "{%- endmacro -%}",
    ),
    "go_list": (
        "{%- macro go_list(x) -%}",
        "{{- '[' -}}",
        "{%- for one in x -%}{{- '' if loop.first else ' ' -}}{{- go_text(one) -}}{%- endfor -%}",
        "{{- ']' -}}",
        "{%- endmacro -%}",
    ),
    "go_yesterday": (
        "{%- macro go_yesterday() -%}",
        "{%- set y = strftime_now('%Y') | int -%}",
        "{%- set m = strftime_now('%m') | int -%}",
        "{%- set d = strftime_now('%d') | int - 1 -%}",
        "{%- if d == 0 -%}",
        "{%- set m = m - 1 -%}",
        "{%- if m == 0 -%}{%- set m = 12 -%}{%- set y = y - 1 -%}{%- endif -%}",
        "{%- set leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0) -%}",
        "{%- set d = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][m - 1] -%}",
        "{%- endif -%}",
        "{{- y ~ ('-0' if m < 10 else '-') ~ m ~ ('-0' if d < 10 else '-') ~ d -}}",
        "{%- endmacro -%}",
    ),
    "go_typescript": (
        "{%- macro go_typescript(x) -%}",
        "{%- set among = x['anyOf'] or [] -%}",
        "{%- set types = [x['type']] if x['type'] is string else (x['type'] or []) -%}",
        "{%- if among -%}",
        "{%- for one in among -%}{{- '' if loop.first else ' | ' -}}",
        "{{- go_typescript(one) -}}{%- endfor -%}",
        "{%- elif not types -%}{{- 'any' -}}",
        "{%- else -%}",
        "{%- for type in types -%}{{- '' if loop.first else ' | ' -}}",
        "{{- {'string': 'string', 'number': 'number', 'integer': 'number', "
        "'boolean': 'boolean', 'array': 'any[]', 'object': 'Record<string, any>', "
        "'null': 'null'}.get(type, 'any') -}}",
        "{%- endfor -%}",
        "{%- endif -%}",
        "{%- endmacro -%}",
    ),
}


def messages(names: set[str]) -> list[str]:
    """Fill `go` for a template that uses `names` (lower case): messages, system, tools."""
    extra = [member for name, member in _EXTRA.items() if name in names]
    fresh = "".join(f", {member}" for member, _ in extra)
    joined = "".join(f", {member}" for _, member in extra)
    lines = [
        "{%- set go = namespace(messages=[], system='', told='', has_system=false, turns=[], "
        "prompt='', response='', whole=true, calls=[], tool_name='') -%}",
        "{%- for message in messages -%}",
        f"{{%- set text = {_TEXT} -%}}",
        *(_TOOL_NAME if "toolname" in names else ()),
        "{%- if message['role'] == 'system' -%}",
        "{%- set go.system = (go.system ~ '\\n\\n' ~ text) if go.has_system else text -%}",
        "{%- set go.has_system = true -%}",
        "{%- endif -%}",
        "{%- set last = go.messages[-1] if go.messages else {'role': ''} -%}",
        "{%- if last['role'] == message['role'] and message['role'] != 'tool' -%}",
        "{%- set text = last['content'] ~ '\\n\\n' ~ text -%}",
        "{%- set go.messages = go.messages[:-1] + "
        f"[{{'role': last['role'], 'content': text{joined} }}] -%}}",
        "{%- else -%}",
        "{%- set go.messages = go.messages + "
        f"[{{'role': message['role'], 'content': text{fresh} }}] -%}}",
        "{%- endif -%}",
        "{%- endfor -%}",
    ]
    if "tools" in names and "messages" in names:
        lines.append("{%- set go.tools = tools or [] -%}")
    return lines


def turns() -> list[str]:
    """Make `go.turns` of `go.messages`; the last one ends where the answer is to begin.

    It is whole when the last message is an answer, and the caller wants no new one.
    """
    return [line.replace("{FLUSH}", _FLUSH).replace("{TURN}", _TURN) for line in _TURNS]
