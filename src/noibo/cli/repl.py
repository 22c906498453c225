"""A conversation in the terminal: streaming, history, several lines, and commands with a slash.

Ctrl-C stops the answer, not the program; what was said until then stays in the conversation.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from noibo.cli.conversations import Conversation, Turn, file_of, private
from noibo.cli.note import Note
from noibo.cli.terminal import harmless, say
from noibo.client import Answer, Client
from noibo.errors import NoiboError, RequestFailed, UsageError

HELP = """\
  /model NAME      talk to another model; without a name: list them
  /system TEXT     set the system prompt; without a text: show it
  /set KEY VALUE   set temperature, max_tokens, seed, top_p, stop …; without: show what is set
  /save NAME       keep this conversation
  /load NAME       take a kept one up again
  /stats           numbers of the last answer
  /clear           forget the conversation
  /help            this
  /bye             leave (or Ctrl-D)

  Several lines: end a line with \\, press Alt-Enter, or put the text between \"\"\" and \"\"\".
  Ctrl-C stops an answer."""

BLOCK = '"""'
OURS = frozenset({"model", "messages", "stream", "stream_options"})


class Repl:
    """One conversation."""

    def __init__(
        self, client: Client, model: str, system: str | None, fields: dict[str, Any], home: Path
    ) -> None:
        self._client = client
        self._model = model
        self._system = system or ""
        self._fields = dict(fields)
        self._home = home
        self._turns: list[Turn] = []
        self._last = ""
        self._commands: dict[str, Callable[[str], None]] = {
            "/model": self._choose_model,
            "/system": self._set_system,
            "/set": self._set_field,
            "/save": self._save,
            "/load": self._load,
            "/stats": lambda _: print(self._last or "No answer yet."),
            "/clear": self._clear,
            "/help": lambda _: print(HELP),
        }
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(private(home / "history"))),
            completer=WordCompleter([*self._commands, "/bye"], sentence=True),
            complete_while_typing=False,
            key_bindings=_newline_on_alt_enter(),
            prompt_continuation="... ",
        )

    def loop(self) -> None:
        """Read and answer until Ctrl-D or /bye."""
        print(f"{self._model}: /help for commands, /bye to leave.")
        while True:
            try:
                line = self._read()
            except KeyboardInterrupt:
                print("Ctrl-D or /bye to leave.")
                continue
            except EOFError:
                return
            if line.strip() in {"/bye", "/exit", "/quit"}:
                return
            if line.strip():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            if line.startswith("/"):
                name, _, rest = line.strip().partition(" ")
                self._command(name)(rest.strip())
            else:
                self._answer(line)
        except NoiboError as error:
            print(harmless(f"{error.message}\n{error.next_step}".strip()))
        except KeyboardInterrupt:
            print("(stopped)")

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            raise UsageError(f"There is no command {name}.", next_step="/help lists them.")
        return self._commands[name]

    def _read(self) -> str:
        line = self._session.prompt(">>> ")
        while line.endswith("\\"):
            line = line[:-1] + "\n" + self._session.prompt("... ")
        if line.lstrip().startswith(BLOCK):
            line = line.lstrip()[len(BLOCK) :]
            while not line.rstrip().endswith(BLOCK):
                line += "\n" + self._session.prompt("... ")
            line = line.rstrip()[: -len(BLOCK)]
        return line

    def _answer(self, said: str) -> None:
        system = [Turn("system", self._system)] if self._system else []
        question = Turn("user", said)
        messages = msgspec.to_builtins([*system, *self._turns, question])
        answer = Answer()
        began, first = time.monotonic(), None
        note = Note()
        stream = self._client.stream(messages, self._model, answer, note, **self._fields)
        try:
            # Leaving the stream is how an answer is cancelled.
            with contextlib.closing(stream):  # type: ignore[type-var]
                for piece in stream:
                    first = first or time.monotonic()
                    note.clear()
                    say(piece)
        finally:
            note.clear()
            if answer.text:
                print()
                self._turns += [question, Turn("assistant", answer.text)]
            self._last = _stats(answer, began, first, time.monotonic())

    def _choose_model(self, name: str) -> None:
        if not name:
            known = self._client.models()
            print("\n".join(f"{'*' if n == self._model else ' '} {n}" for n in known))
            return
        try:
            self._model = self._client.model(name)
        except RequestFailed as exc:
            raise UsageError(exc.message, next_step=f"In a shell: noibo pull {name}") from exc
        print(f"Now {self._model}; the conversation goes on.")

    def _set_system(self, text: str) -> None:
        if text:
            self._system = text.strip('"')
        print(self._system or "No system prompt.")

    def _set_field(self, words: str) -> None:
        key, _, value = words.partition(" ")
        if key in OURS:
            raise UsageError(f"{key} is not set this way.", next_step="/help lists what is.")
        if value:
            self._fields[key] = _value(value.strip())
        elif key:
            self._fields.pop(key, None)
        print(harmless(json.dumps(self._fields, ensure_ascii=False)))

    def _save(self, name: str) -> None:
        kept = Conversation(self._model, self._system, self._turns)
        kept.write(file_of(self._home, name))
        print(f"Saved {len(self._turns)} messages as {name}.")

    def _load(self, name: str) -> None:
        kept = Conversation.read(file_of(self._home, name))
        self._model, self._system, self._turns = kept.model, kept.system, list(kept.turns)
        print(f"Loaded {len(kept.turns)} messages; talking to {kept.model}.")

    def _clear(self, _: str) -> None:
        self._turns.clear()
        print("Forgotten.")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _stats(answer: Answer, began: float, first: float | None, ended: float) -> str:
    usage, timings = answer.usage, answer.timings
    rows = [f"model             {answer.model}"]
    if first is not None:
        rows.append(f"first token       {(first - began) * 1000:.0f} ms")
    rows.append(f"whole answer      {ended - began:.2f} s")
    if usage:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        rows.append(f"prompt            {usage.get('prompt_tokens')} tokens ({cached} from cache)")
        rows.append(f"answer            {usage.get('completion_tokens')} tokens")
    if timings:
        rows.append(f"reading           {timings.get('prompt_per_second', 0):.1f} tokens/s")
        rows.append(f"writing           {timings.get('predicted_per_second', 0):.1f} tokens/s")
    rows.append(f"ended by          {answer.finish_reason or 'you'}")
    return "\n".join(rows)


def _newline_on_alt_enter() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings
