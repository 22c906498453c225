"""A streamed answer, heard: bytes and their moments in, an `Answer` or a `Failure` out. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from noibo.evaluation.answer import Answer, Failure, Kind
from noibo.modelstore.printable import shown
from noibo.wire import sse

MOST_SAID: Final = 200  # characters of what a server says that are kept
MOST_FINISH: Final = 40
SPARE: Final = 1000  # pieces over the tokens that were asked for, before it is taken for endless
HIDDEN: Final = "…"  # where a server repeats the key

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class _Details(msgspec.Struct):
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None  # llama.cpp, DeepSeek
    reasoning: Any = None  # vLLM, Ollama, OpenRouter
    tool_calls: Any = None

    @property
    def says(self) -> bool:
        return bool(self.content or self.tool_calls)

    @property
    def thinks(self) -> bool:
        return bool(self.reasoning_content or self.reasoning)


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Event)


class Failed(Exception):
    """The answer failed; carries how."""

    def __init__(self, kind: Kind, said: str) -> None:
        super().__init__(said)
        self.kind = kind


class Hearing:
    """One answer as it comes. `most` tokens were asked for, with this `key`."""

    def __init__(self, began: float, most: int, key: str = "") -> None:
        self._began = began
        self._key = key
        self._most = 4 * most + SPARE
        self._buffer = sse.EventBuffer(2**24)
        self._pieces: list[float] = []
        self._said: float | None = None
        self._thought = False
        self._usage = _Usage()
        self._model = self._finish = ""
        self._ended = False
        self.begun = False  # anything came

    def feed(self, chunk: bytes, moment: float) -> None:
        """Bytes that came at a moment. Raises `Failed`."""
        self.begun = True
        try:
            whole = self._buffer.feed(chunk)
        except ValueError as exc:
            raise Failed(Kind.GARBAGE, str(exc)) from None
        self._take(whole, moment)

    def _take(self, events: bytes, moment: float) -> None:
        for event in sse.events(events):
            data = sse.data(event)
            if data == sse.DONE:
                self._ended = True
            elif data:
                self._hear(data, moment)

    def _hear(self, data: bytes, moment: float) -> None:
        try:
            event = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said = data.decode(errors="replace")
            raise Failed(Kind.GARBAGE, _short(said, self._key)) from None
        if event.error:
            raise Failed(Kind.TOLD, told(event.error, self._key))
        self._usage = event.usage or self._usage
        self._model = event.model or self._model
        for choice in (event.choices or [])[:1]:
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                self._count(choice.delta, moment)

    def _count(self, delta: _Delta, moment: float) -> None:
        if not delta.says and not delta.thinks:  # who speaks, or the end
            return
        self._pieces.append(moment)
        self._thought = self._thought or delta.thinks
        if delta.says and self._said is None:
            self._said = moment
        if len(self._pieces) > self._most:
            raise Failed(Kind.GARBAGE, f"more than {self._most} pieces, and no end")

    def end(self, moment: float) -> Answer:
        """The answer, when its stream has ended. Raises `Failed`."""
        self._take(self._buffer.end(), moment)
        if not self._ended and not self._finish:
            raise Failed(Kind.BROKE_OFF, f"the stream ended after {len(self._pieces)} pieces")
        if not self._pieces:
            raise Failed(Kind.EMPTY, "it ended before the first token")
        usage = self._usage
        tokens = self._seen(usage)
        return Answer(
            began=self._began,
            ended=moment,
            pieces=tuple(self._pieces),
            tokens=tokens or len(self._pieces),
            by_usage=bool(tokens),
            said=self._said,
            thought=self._thought,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=(usage.prompt_tokens_details or _Details()).cached_tokens,
            billed=usage.completion_tokens or 0,
            finish=hidden(self._finish, self._key)[:MOST_FINISH],
            model=shown(hidden(self._model, self._key), MOST_SAID),
        )

    def _seen(self, usage: _Usage) -> int:
        """Tokens that came: thoughts that a server counts and keeps to itself are none."""
        counted = usage.completion_tokens or 0
        if self._thought:
            return counted
        hidden = (usage.completion_tokens_details or _Details()).reasoning_tokens or 0
        return max(counted - hidden, 0)


def refusal(status: int, body: bytes, retry_after: str = "", key: str = "") -> Failure:
    """What an answer that is not 200 says to a request with this key."""
    try:
        found = msgspec.json.decode(body)
        error = found.get("error") or found.get("detail") or found.get("message") or found
        said = told(error, key)
    except (ValueError, AttributeError, RecursionError):
        said = _short(body.decode(errors="replace"), key) or "no reason given"
    wait = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else None
    return Failure(_kind(status), f"HTTP {status}: {said}", retry_after_s=wait)


def _kind(status: int) -> Kind:
    known = {
        401: Kind.REFUSED,
        403: Kind.REFUSED,
        404: Kind.NOT_FOUND,
        408: Kind.SILENT,
        429: Kind.TOO_MANY,
    }
    if status in known:
        return known[status]
    if 300 <= status < 400:
        return Kind.MOVED
    return Kind.BAD_REQUEST if 400 <= status < 500 else Kind.SERVER


def told(error: Any, key: str = "") -> str:
    """An error's own words."""
    message = error.get("message", error) if isinstance(error, dict) else error
    return _short(str(message), key)


def hidden(text: str, key: str) -> str:
    """A server's words without the key, which some repeat: reports are shown to others."""
    return text.replace(key, HIDDEN) if key else text


def _short(text: str, key: str) -> str:
    line = " ".join(hidden(text, key).split())
    cut = line if len(line) <= MOST_SAID else line[: MOST_SAID - 1] + "…"
    return shown(cut, MOST_SAID)  # it is printed, and nobody vouches for it
