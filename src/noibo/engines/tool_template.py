"""Chat templates that know no tools, taught to.

An engine shows a model its tools by the model's own chat template, and drops them without a word
where that has no place for them. Such a template is given a beginning that says tools, calls and
their results in plain messages, in the words most models were trained on (Hermes 2 Pro,
https://github.com/NousResearch/Hermes-Function-Calling): from there on it is the template it was.
"""

from __future__ import annotations

from typing import Final

_MARKS: Final = ("tools", "tool_calls", "functions", "available_tools")
_BEGINNING: Final = r"""
{%- set ns = namespace(told=[], said='', results=false) %}
{%- if tools %}
{%- set ns.said = 'You may call functions. These are their descriptions:\n<tools>' %}
{%- for tool in tools %}{%- set ns.said = ns.said + '\n' + (tool | tojson) %}{%- endfor %}
{%- set ns.said = ns.said + '\n</tools>\n\nTo call one, answer with JSON within the tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>\n\n' %}
{%- endif %}
{%- for message in messages %}
{%- set content = message.content if message.content is string else '' %}
{%- if message.role == 'tool' %}
{%- set result = '<tool_response>\n' + content + '\n</tool_response>' %}
{%- if ns.results %}
{%- set ns.told = ns.told[:-1] + [{'role': 'user', 'content': ns.told[-1].content + '\n' + result}] %}
{%- else %}
{%- set ns.told = ns.told + [{'role': 'user', 'content': result}] %}
{%- endif %}
{%- elif message.role == 'assistant' and message.tool_calls %}
{%- set calls = namespace(said=content) %}
{%- for call in message.tool_calls %}
{%- set given = call.function.arguments %}
{%- set calls.said = calls.said + ('\n' if calls.said else '') + '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' + (given if given is string else (given | tojson)) + '}\n</tool_call>' %}
{%- endfor %}
{%- set ns.told = ns.told + [{'role': 'assistant', 'content': calls.said}] %}
{%- elif ns.said and loop.first and message.content is string %}
{%- set ns.told = [{'role': message.role, 'content': ns.said + content}] %}
{%- else %}
{%- set ns.told = ns.told + [message] %}
{%- endif %}
{%- set ns.results = message.role == 'tool' %}
{%- endfor %}
{%- set messages = ns.told %}"""  # noqa: E501 - a template's lines are its own

# For one that raises at a system prompt. llama.cpp would put it before the first message, but it
# looks whether the template says it, and the beginning above does.
_NO_SYSTEM: Final = "System role not supported"
_MERGED: Final = r"""
{%- if messages | length > 1 and messages[0].role == 'system' and messages[0].content is string and messages[1].content is string %}
{%- set messages = [{'role': messages[1].role, 'content': messages[0].content + '\n' + messages[1].content}] + messages[2:] %}
{%- endif %}"""  # noqa: E501 - as above


# What llama.cpp writes a chat by where a model has no template: ChatML.
_USUAL: Final = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def with_tools(own: str) -> str:
    """A template that says tools where `own`, or for want of one the engine's, does not; empty
    where `own` will do, and where it cannot be taught."""
    own = own or _USUAL
    if _says_tools(own) or "messages" not in own:
        return ""
    merged = _MERGED if _NO_SYSTEM in own else ""
    return _BEGINNING.lstrip("\n") + merged + own


def tells_tools(own: str) -> bool:
    """True if a model with that template is told of its tools: by itself, or taught to."""
    return _says_tools(own) or bool(with_tools(own))


def _says_tools(own: str) -> bool:
    return any(mark in own for mark in _MARKS)
