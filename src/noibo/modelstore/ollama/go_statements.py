"""The statements of a Go template, one by one, as lines of Jinja.

White space between Jinja tags means nothing here: text is printed by expressions, and every tag
trims what is around it.
"""

from __future__ import annotations

from typing import Final

from noibo.modelstore.ollama.go_expression import EMPTY, Expressions, Scope
from noibo.modelstore.ollama.go_functions import Functions
from noibo.modelstore.ollama.go_kinds import ELEMENTS, MAPS, Kind, Value, quoted
from noibo.modelstore.ollama.go_lexer import UntranslatableTemplate
from noibo.modelstore.ollama.go_tree import Action, Branch, Field, Jump, Node, Pipe, Text

MAX_LENGTH: Final = 2**20


class Statements:
    """Translates nodes into `lines`.

    With `cut_by`, a condition, what follows `.Response` is printed only where it holds. `kinds`
    learns what variables are given later, which says more than what they start with (an empty
    text, mostly): whoever finds something in it afterwards translates once more with it.
    """

    def __init__(
        self,
        nodes: tuple[Node, ...],
        root: dict[str, Value],
        kinds: dict[str, Kind],
        cut_by: str | None = None,
    ) -> None:
        self.lines: list[str] = []
        self._length = 0
        self.functions = Functions()
        self._expressions = Expressions(root, self.functions)
        self._kinds = kinds
        self._cut_by = cut_by
        self._cut = False  # what comes now stands behind the place where the answer begins
        self._assigned = _assigned(nodes)
        self._flags: list[str] = []  # of the loops around that are jumped out of
        self._count = 0
        whole = Value("go", Kind.ROOT)
        self._list(nodes, Scope(whole, {"": whole}))

    def _list(self, nodes: tuple[Node, ...], scope: Scope) -> None:
        """Statements in turn; those that may be left out stand in an `if`."""
        guards, jumped, passed = 0, False, False
        for node in nodes:
            if self._cut and not passed:
                self._say(f"if {self._cut_by}")
                guards, passed = guards + 1, True
            if jumped:
                self._say(f"if not {self._flags[-1]}.skip")
                guards += 1
            if passed:
                self._cut = False  # what is within needs no guard of its own
            self._node(node, scope)
            jumped = _jumps(node)
        self.lines.extend(["{%- endif -%}"] * guards)
        self._cut = self._cut or passed

    def _node(self, node: Node, scope: Scope) -> None:
        match node:
            case Text():
                self._print(quoted(node.text))
            case Action():
                self._action(node.pipe, scope)
            case Branch(word="range"):
                self._range(node, scope.inner())
            case Branch():
                self._branch(node, scope.inner())
            case Jump():
                self._jump(node)

    def _action(self, pipe: Pipe, scope: Scope) -> None:
        value = self._expressions.pipe(pipe, scope)
        if pipe.variables:
            self._keep(pipe, value, scope)
        else:
            self._print(self.functions.printed(value))
        self._cut = self._cut or (self._cut_by is not None and _gives_response(pipe))

    def _keep(self, pipe: Pipe, value: Value, scope: Scope) -> None:
        (name,) = pipe.variables
        if pipe.declares:
            self._declare(name, value, scope)
            return
        known = scope.variables.get(name)
        if known is None or not name:
            raise UntranslatableTemplate(f"${name} is not declared")
        self._say(f"set {known.code} = {value.code}")
        if value.kind is not known.kind:
            self._kinds.setdefault(known.code, value.kind)

    def _declare(self, name: str, value: Value, scope: Scope) -> None:
        """A name of its own for each; what is assigned to later must be seen outside of loops."""
        if not name:
            raise UntranslatableTemplate("$ cannot be declared")
        new = self._name(name)
        if name in self._assigned:
            self._say(f"set {new} = namespace(value={value.code})")
            new = f"{new}.value"
        else:
            self._say(f"set {new} = {value.code}")
        scope.variables[name] = Value(new, self._kinds.get(new, value.kind))

    def _branch(self, node: Branch, scope: Scope) -> None:
        """`if` and `with`. A chain of `else if` becomes one of `elif`."""
        self._open(node, scope, "if")
        otherwise = node.otherwise or ()
        while (following := _only_if(otherwise)) and not self._cut:
            self._open(following, scope, "elif")
            otherwise = following.otherwise or ()
        if otherwise:
            self._say("else")
            self._list(otherwise, scope.inner())
        self._say("endif")

    def _open(self, node: Branch, scope: Scope, word: str) -> None:
        value = self._expressions.pipe(node.pipe, scope)
        if node.pipe.variables:
            self._keep(node.pipe, value, scope)
            value = scope.variables[node.pipe.variables[0]]
        elif node.word == "with":
            held = self._name("with")
            self._say(f"set {held} = {value.code}")
            value = Value(held, value.kind)
        self._say(f"{word} {value.code}")
        self._list(node.then, scope.inner(value if node.word == "with" else None))

    def _range(self, node: Branch, scope: Scope) -> None:
        if node.pipe.variables and not node.pipe.declares:
            raise UntranslatableTemplate("range assigns to variables declared before")
        value = self._expressions.pipe(node.pipe, scope)
        jumps = any(map(_jumps, node.then))
        if jumps:
            self._flags.append(self._name("left"))
            self._say(f"set {self._flags[-1]} = namespace(skip=false, over=false)")
        inner = self._loop(value, node.pipe.variables, scope)
        if jumps:
            self._say(f"set {self._flags[-1]}.skip = false")
            self._say(f"if not {self._flags[-1]}.over")
        self._list(node.then, inner)
        if jumps:
            self._flags.pop()
            self._say("endif")
        if node.otherwise:
            self._say("else")
            self._list(node.otherwise, scope.inner())
        self._say("endfor")

    def _loop(self, value: Value, names: tuple[str, ...], scope: Scope) -> Scope:
        """Open a loop over `value`; the scope within has the key (or number) and the element."""
        key, element = self._name("at"), self._name("each")
        if value == EMPTY:  # a member of `$` that is never there
            value = Value("[]", Kind.LIST)
        if value.kind in MAPS:
            self._say(f"for {key}, {element} in {_mapping(value)}.items()")
            found = Value(key, Kind.TEXT), Value(element, ELEMENTS[value.kind])
        elif value.kind is Kind.ANY:
            found = self._loop_over_any(value, key, element)
        elif value.kind is Kind.NUMBER:
            self._say(f"for {element} in range({value.code})")
            found = Value(element, Kind.NUMBER), Value(element, Kind.NUMBER)
        elif value.kind in ELEMENTS:
            self._say(f"for {element} in {value.code}")
            self._say(f"set {key} = loop.index0")
            found = Value(key, Kind.NUMBER), Value(element, ELEMENTS[value.kind])
        else:
            raise UntranslatableTemplate("range is over what has no elements")
        inner = scope.inner(found[1])
        for name, meant in zip(names, found[-len(names) :], strict=False):
            if name in self._assigned:
                self._declare(name, meant, inner)
            else:
                inner.variables[name] = meant
        return inner

    def _loop_over_any(self, value: Value, key: str, element: str) -> tuple[Value, Value]:
        """Only when it is printed can be told whether somebody's JSON is a list or a map."""
        held = self._name("all")
        is_map = f"{held} is mapping"
        self._say(f"set {held} = {value.code} or []")
        self._say(f"for {element} in ({held}.values() | list if {is_map} else {held})")
        keys = f"({held}.keys() | list)[loop.index0]"
        self._say(f"set {key} = {keys} if {is_map} else loop.index0")
        return Value(key, Kind.ANY), Value(element, Kind.ANY)

    def _jump(self, node: Jump) -> None:
        """By a flag: in llama.cpp's Jinja a `break` swallows what its `if` has printed before."""
        if not self._flags:
            raise UntranslatableTemplate(f"{node.word} stands outside of a loop")
        self._say(f"set {self._flags[-1]}.skip = true")
        if node.word == "break":
            self._say(f"set {self._flags[-1]}.over = true")

    def _name(self, base: str) -> str:
        self._count += 1
        plain = base if base.isascii() and base.isidentifier() else "value"
        return f"{plain}_{self._count}"

    def _print(self, code: str) -> None:
        self._add(f"{{{{- {code} -}}}}")

    def _say(self, statement: str) -> None:
        self._add(f"{{%- {statement} -%}}")

    def _add(self, line: str) -> None:
        self._length += len(line)
        if self._length > MAX_LENGTH:
            raise UntranslatableTemplate("it becomes too long")
        self.lines.append(line)


def _mapping(value: Value) -> str:
    if value.kind is not Kind.ARGUMENTS:
        return value.code
    return f"({value.code} if {value.code} is mapping else {{}})"  # a text is not taken apart


def _only_if(nodes: tuple[Node, ...]) -> Branch | None:
    """The one `if` that `nodes` consist of; one that declares nothing."""
    if len(nodes) != 1 or not isinstance(nodes[0], Branch):
        return None
    node = nodes[0]
    return node if node.word == "if" and not node.pipe.variables else None


def _assigned(nodes: tuple[Node, ...]) -> set[str]:
    """The variables that `=` gives a new value."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Action | Branch) and not node.pipe.declares:
            found |= set(node.pipe.variables)
        if isinstance(node, Branch):
            found |= _assigned(node.then) | _assigned(node.otherwise or ())
    return found


def _jumps(node: Node) -> bool:
    """True for what may leave this time round of the loop that it stands in."""
    if isinstance(node, Branch):
        inside = node.otherwise or ()
        inside = inside if node.word == "range" else (*node.then, *inside)
        return any(map(_jumps, inside))
    return isinstance(node, Jump)


def _gives_response(pipe: Pipe) -> bool:
    operands = [operand for command in pipe.commands for operand in command]
    return any(
        "Response" in operand.names
        if isinstance(operand, Field)
        else isinstance(operand, Pipe) and _gives_response(operand)
        for operand in operands
    )
