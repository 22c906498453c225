"""What `/api/create` asks for: the fields of the request, or a Modelfile, as one value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from noibo.errors import InvalidRequest
from noibo.modelstore.ollama import modelfile
from noibo.modelstore.ollama.modelfile import Command
from noibo.wire.ollama import options

MOST_FILES: Final = 1000
MOST_MESSAGES: Final = 1000
LONGEST_TEXT: Final = 2**20  # of a template, a system prompt, a message, a licence
_DIGEST: Final = re.compile(r"@?sha256[:-]([0-9a-f]{64})")
_REFUSED: Final = frozenset({"renderer", "parser", "draft"})
_PATH: Final = re.compile(r"(?:/|~/|\./|\.\./|[A-Za-z]:[\\/]).*")


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be part of the model: a blob by its digest, or one where it lies."""

    name: str
    sha256: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is to be made. None, and what is empty: as the model it is made from has it."""

    base: str | None = None
    files: tuple[Source, ...] = ()
    adapters: tuple[Source, ...] = ()
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[dict[str, str], ...] | None = None
    licence: str | None = None

    @property
    def paths(self) -> bool:
        """True if it names files of the server's machine."""
        return any(source.path is not None for source in (*self.files, *self.adapters))

    def checked(self) -> Recipe:
        """Itself, if it makes sense; raises `InvalidRequest`."""
        if bool(self.base) == bool(self.files):
            what = "both 'from' and 'files' were" if self.base else "neither 'from' or 'files' was"
            raise InvalidRequest(f"{what} specified.", param="from")
        if len(self.files) + len(self.adapters) > MOST_FILES:
            raise InvalidRequest(f"files: more than {MOST_FILES}.", param="files")
        if len(self.messages or ()) > MOST_MESSAGES:
            raise InvalidRequest(f"messages: more than {MOST_MESSAGES}.", param="messages")
        said = {"template": self.template, "system": self.system, "license": self.licence}
        for name, text in said.items():
            if text is not None and len(text) > LONGEST_TEXT:
                raise InvalidRequest(f"{name}: longer than {LONGEST_TEXT:,}.", param=name)
        return replace(self, parameters=options.checked(self.parameters, "parameters"))


def sources(found: Mapping[str, str], param: str) -> tuple[Source, ...]:
    """Files by name and digest. Raises `InvalidRequest`."""
    return tuple(_blob(name, digest, param) for name, digest in found.items())


def _blob(name: str, digest: str, param: str) -> Source:
    plain = name.replace("\\", "/")
    if not plain or ".." in plain.split("/") or not plain.isprintable():
        raise InvalidRequest(f"{param}: {name[:60]!r} is no name of a file.", param=param)
    return Source(plain.rpartition("/")[2], sha256_of(digest, param))


def sha256_of(digest: str, param: str) -> str:
    """The 64 digits of `sha256:…`. Raises `InvalidRequest`."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise InvalidRequest(
            f"{param}: {digest[:80]!r} is no digest.",
            param=param,
            next_step="A digest is sha256: and 64 hexadecimal digits.",
        )
    return found[1]


def of_modelfile(text: str) -> Recipe:
    """The recipe that a Modelfile is. Raises `InvalidRequest`."""
    said: dict[str, list[Command]] = {}
    for command in modelfile.parse(text):
        if command.word in _REFUSED:
            raise _refusal(command)
        said.setdefault(command.word, []).append(command)
    froms, licences = said.get("from", []), said.get("license")
    bases = [command.value for command in froms if not _is_file(command)]
    return Recipe(
        base=bases[-1] if bases else None,
        files=tuple(_source(command, "from") for command in froms if _is_file(command)),
        adapters=tuple(_source(command, "adapters") for command in said.get("adapter", ())),
        template=said["template"][-1].value if "template" in said else None,
        system=said["system"][-1].value if "system" in said else None,
        parameters=_parameters(said.get("parameter", ())),
        messages=tuple(map(_message, said["message"])) if "message" in said else None,
        licence="\n".join(command.value for command in licences) if licences else None,
    )


def _is_file(command: Command) -> bool:
    return any(form.fullmatch(command.value) for form in (_DIGEST, _PATH))


def _source(command: Command, param: str) -> Source:
    """A blob (`@sha256:…`, as Ollama's client writes it), or a file of this machine."""
    if _DIGEST.fullmatch(command.value):
        return Source(f"{command.word}.gguf", sha256_of(command.value, param))
    try:
        path = Path(command.value).expanduser()
    except RuntimeError:  # ~somebody who is not here
        path = Path(command.value)
    if not path.is_absolute():
        raise InvalidRequest(
            f"The Modelfile, line {command.line}: {command.value} is a path in a folder that the "
            "server does not know.",
            param=param,
            next_step="Write the whole path.",
        )
    return Source(path.name, path=path)


def _parameters(commands: Sequence[Command]) -> dict[str, Any]:
    """What PARAMETERs say: of one that takes several texts all, else the last."""
    found: dict[str, Any] = {}
    for command in commands:
        option = options.OPTIONS.get(command.name)
        if option is not None and option.kind == "texts":
            found.setdefault(command.name, []).append(command.value)
        else:
            found[command.name] = modelfile.typed(command.value)
    return found


def _message(command: Command) -> dict[str, str]:
    return {"role": command.name, "content": command.value}


def _refusal(command: Command) -> InvalidRequest:
    return InvalidRequest(
        f"The Modelfile, line {command.line}: {command.word.upper()} is for Ollama's own engine.",
        param=command.word,
        next_step="Leave the line out.",
    )


def messages_of(found: Sequence[Any]) -> tuple[dict[str, str], ...]:
    """Messages that come with a model. Raises `InvalidRequest`."""
    taken = []
    for number, one in enumerate(found):
        role = one.role.lower()
        if role not in modelfile.ROLES or one.images or one.tool_calls:
            raise InvalidRequest(
                f"messages[{number}]: a model comes with texts of system, user and assistant.",
                param=f"messages[{number}]",
            )
        taken.append({"role": role, "content": one.content or ""})
    return tuple(taken)
