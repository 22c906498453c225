"""A conversation in the terminal: streaming, history, several lines, and commands with a slash.

Ctrl-C stops the answer, not the program; what was said until then stays in the conversation.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from noibo.client import Answer, Client
from noibo.errors import NoiboError, UsageError

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
        self._turns: list[dict[str, str]] = []
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
            history=FileHistory(_made(home / "history")),
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
            print(f"{error.message}\n{error.next_step}".strip())

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
        system = [{"role": "system", "content": self._system}] if self._system else []
        question = {"role": "user", "content": said}
        answer = Answer()
        began, first = time.monotonic(), None
        stream = self._client.stream(
            [*system, *self._turns, question], self._model, answer, **self._fields
        )
        try:
            for piece in stream:
                first = first or time.monotonic()
                print(piece, end="", flush=True)
            print()
        except KeyboardInterrupt:
            print("\n(stopped)")
        finally:
            stream.close()  # type: ignore[attr-defined]  # leaving is how an answer is cancelled
        if answer.text:
            self._turns += [question, {"role": "assistant", "content": answer.text}]
        self._last = _stats(answer, began, first, time.monotonic())

    def _choose_model(self, name: str) -> None:
        known = self._client.models()
        if not name:
            print("\n".join(f"{'*' if n == self._model else ' '} {n}" for n in known))
            return
        if name not in known and name != "echo":
            raise UsageError(
                f"There is no model {name} here.", next_step=f"In a shell: noibo pull {name}"
            )
        self._model = name
        print(f"Now {name}; the conversation goes on.")

    def _set_system(self, text: str) -> None:
        if text:
            self._system = text.strip('"')
        print(self._system or "No system prompt.")

    def _set_field(self, words: str) -> None:
        key, _, value = words.partition(" ")
        if value:
            self._fields[key] = _value(value.strip())
        elif key:
            self._fields.pop(key, None)
        print(json.dumps(self._fields, ensure_ascii=False))

    def _save(self, name: str) -> None:
        path = self._chat_file(name)
        kept = {"model": self._model, "system": self._system, "turns": self._turns}
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")
        print(f"Saved {len(self._turns)} messages as {name}.")

    def _load(self, name: str) -> None:
        path = self._chat_file(name)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            model, system, turns = kept["model"], kept["system"], list(kept["turns"])
        except FileNotFoundError:
            names = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
            raise UsageError(f"Nothing is saved as {name}.", next_step=f"Saved: {names}.") from None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise UsageError(f"{path} is damaged: {exc}.") from exc
        self._model, self._system, self._turns = model, system, turns
        print(f"Loaded {len(turns)} messages; talking to {model}.")

    def _clear(self, _: str) -> None:
        self._turns.clear()
        print("Forgotten.")

    def _chat_file(self, name: str) -> Path:
        if not re.fullmatch(r"[\w][\w .-]{0,80}", name):
            raise UsageError("That is no name for a conversation.", next_step="/save my-chat")
        return Path(_made(self._home / "conversations" / f"{name}.json"))


def _made(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path)


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
