"""What the values in an Ollama template are, and under which names a request has them.

Ollama gives its templates Go structures; a request has JSON. A value's kind says which members it
has, what its elements are, and how it is printed (ollama/ollama, template/template.go and
api/types.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """Kinds of values, named as in Ollama where it has a name for them."""

    ANY = auto()  # a value of somebody's JSON
    TEXT = auto()
    NUMBER = auto()
    BOOL = auto()
    ROOT = auto()
    MESSAGES = auto()
    MESSAGE = auto()
    TOOL_CALLS = auto()
    TOOL_CALL = auto()
    CALLED_FUNCTION = auto()
    ARGUMENTS = auto()
    TOOLS = auto()
    TOOL = auto()
    FUNCTION = auto()
    PARAMETERS = auto()
    PROPERTIES = auto()
    PROPERTY = auto()
    TYPE = auto()  # of a property: one name or several
    WORDS = auto()
    LIST = auto()


@dataclass(frozen=True, slots=True)
class Value:
    """A Jinja expression, safe to stand beside any operator, and the kind of what it gives."""

    code: str
    kind: Kind


_NONE_SAYS: Final = {
    Kind.TEXT: "''",
    Kind.WORDS: "[]",
    Kind.LIST: "[]",
    Kind.TYPE: "[]",
    Kind.PARAMETERS: "{}",
    Kind.PROPERTIES: "{}",
    Kind.ARGUMENTS: "{}",
}

# Members by their Go name: the key in the request's JSON, and the kind. What `go_prelude` builds
# (messages) has every key; what comes from the request may lack some.
MEMBERS: Final[dict[Kind, dict[str, tuple[str, Kind]]]] = {
    Kind.MESSAGE: {
        "Role": ("role", Kind.TEXT),
        "Content": ("content", Kind.TEXT),
        "Thinking": ("thinking", Kind.TEXT),
        "Images": ("images", Kind.LIST),
        "ToolCalls": ("tool_calls", Kind.TOOL_CALLS),
        "ToolName": ("tool_name", Kind.TEXT),
        "ToolCallID": ("tool_call_id", Kind.TEXT),
    },
    Kind.TOOL_CALL: {
        "ID": ("id", Kind.TEXT),
        "Function": ("function", Kind.CALLED_FUNCTION),
    },
    Kind.CALLED_FUNCTION: {
        "Index": ("index", Kind.NUMBER),
        "Name": ("name", Kind.TEXT),
        "Arguments": ("arguments", Kind.ARGUMENTS),
    },
    Kind.TOOL: {
        "Type": ("type", Kind.TEXT),
        "Items": ("items", Kind.ANY),
        "Function": ("function", Kind.FUNCTION),
    },
    Kind.FUNCTION: {
        "Name": ("name", Kind.TEXT),
        "Description": ("description", Kind.TEXT),
        "Parameters": ("parameters", Kind.PARAMETERS),
    },
    Kind.PARAMETERS: {
        "Type": ("type", Kind.TEXT),
        "Defs": ("$defs", Kind.ANY),
        "Items": ("items", Kind.ANY),
        "Required": ("required", Kind.WORDS),
        "Properties": ("properties", Kind.PROPERTIES),
    },
    Kind.PROPERTY: {
        "AnyOf": ("anyOf", Kind.LIST),
        "Type": ("type", Kind.TYPE),
        "Items": ("items", Kind.ANY),
        "Description": ("description", Kind.TEXT),
        "Enum": ("enum", Kind.LIST),
        "Properties": ("properties", Kind.PROPERTIES),
        "Required": ("required", Kind.WORDS),
    },
}

ELEMENTS: Final = {
    Kind.MESSAGES: Kind.MESSAGE,
    Kind.TOOL_CALLS: Kind.TOOL_CALL,
    Kind.TOOLS: Kind.TOOL,
    Kind.WORDS: Kind.TEXT,
    Kind.TYPE: Kind.TEXT,
    Kind.LIST: Kind.ANY,
    Kind.PROPERTIES: Kind.PROPERTY,
    Kind.ARGUMENTS: Kind.ANY,
    Kind.ANY: Kind.ANY,
}
MAPS: Final = frozenset({Kind.PROPERTIES, Kind.ARGUMENTS})

_AS_JSON: Final = frozenset(
    {
        Kind.TOOL_CALLS,
        Kind.TOOL_CALL,
        Kind.CALLED_FUNCTION,
        Kind.TOOLS,
        Kind.TOOL,
        Kind.FUNCTION,
        Kind.PARAMETERS,
        Kind.PROPERTIES,
        Kind.PROPERTY,
    }
)


def member(value: Value, name: str) -> Value | None:
    """`value.Name`, or None when a value of that kind has no such member."""
    if value.kind is Kind.ANY:
        return Value(f"{value.code}[{quoted(name)}]", Kind.ANY)
    found = MEMBERS.get(value.kind, {}).get(name)
    if found is None:
        return None
    key, kind = found
    code = f"{value.code}[{quoted(key)}]"
    if value.kind is Kind.MESSAGE:
        return Value(code, kind)
    if kind is Kind.TYPE:
        return Value(f"([{code}] if {code} is string else ({code} or []))", kind)
    missing = _NONE_SAYS.get(kind)
    return Value(f"({code} or {missing})" if missing else code, kind)


def printed(value: Value) -> str | None:
    """A Jinja expression for the text that Go prints for `value`; None when there is no sense.

    Where Go escapes `<` in JSON and sorts the keys of maps, the text stays as it came.
    """
    code = value.code
    match value.kind:
        case Kind.TEXT | Kind.NUMBER:
            pass
        case Kind.BOOL:
            code = f"('true' if {code} else 'false')"
        case Kind.ANY:
            code = f"go_text({code})"
        case Kind.LIST:
            code = f"go_list({code})"
        case Kind.ARGUMENTS:  # by OpenAI's protocol a text that is JSON already
            code = f"({code} if {code} is string else {as_json(code)})"
        case Kind.WORDS:
            code = f"('[' ~ ({code} | join(' ')) ~ ']')"
        case Kind.TYPE:
            joined = f"({code} | join(' '))"
            code = f"({joined} if ({code} | length) < 2 else ('[' ~ {joined} ~ ']'))"
        case _:
            return as_json(code) if value.kind in _AS_JSON else None
    return code


def as_json(code: str) -> str:
    """JSON without spaces, as Go writes it."""
    return f"({code} | tojson(separators=[',', ':']))"


def quoted(text: str) -> str:
    """`text` as a Jinja string; only escapes that every Jinja knows."""
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f"'{text}'"
