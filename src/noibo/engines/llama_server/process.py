"""The child process that runs the user's llama-server. Started by `noibo.engines.worker` only.

It closes itself off first, and what it starts is closed off with it; not from new sockets, as other
workers are when they serve: then the program runs already. It stays beside the program to pass on
what that says, to tell when it serves, and to end as it ended.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from noibo.engines.child import announce, end_as, fail, free_port, read_config, ready
from noibo.engines.environments.bound import end_with_us
from noibo.engines.llama_server.flags import (
    KEY_FILE,
    KEY_VARIABLE,
    TEMPLATE_FILE,
    Build,
    arguments,
)
from noibo.settings import bare_environment

# What its log says when the model is loaded and it takes requests, in builds of 2023 and of now.
SERVES: Final = re.compile(r"listening (?:on|at) https?://|all slots are idle")


def main() -> None:
    config = read_config(free_port)
    build = Build(**config["build"])
    announce("progress", note=f"loading {config['alias']}")
    port = config["listens_on"]
    config["thinks"] = _thinks(config["template"] or config["own_template"])
    environment = bare_environment() | {KEY_VARIABLE: config["api_key"]}
    if config["template"]:
        Path(TEMPLATE_FILE).write_text(config["template"], encoding="utf-8")
    if not build.key_by_variable:
        Path(KEY_FILE).write_text(config["api_key"] + "\n", encoding="utf-8")
    try:
        process = subprocess.Popen(
            [config["program"], *arguments(build, config, port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=end_with_us,  # noqa: PLW1509 - no thread of ours holds a lock
        )
    except OSError as exc:
        fail(f"{config['program']} could not be run: {exc}")
    _pass_on(process, config, f"http://127.0.0.1:{port}")
    end_as(process.wait(), "llama-server ended.")


def _thinks(template: str) -> bool | None:
    """Whether its model thinks without being told to; None for one that has no switch for it."""
    if "enable_thinking" not in template:
        return None
    from noibo.engines.chat_template import thinks_by_itself  # Jinja: not in every worker

    return thinks_by_itself(template)


def _pass_on(process: subprocess.Popen[str], config: dict[str, Any], url: str) -> None:
    """Its log is ours; one line of it says that it serves."""
    assert process.stdout is not None  # noqa: S101 - we asked for the pipe
    serves = False
    for line in process.stdout:
        sys.stderr.write(line.replace(config["api_key"], "…"))
        sys.stderr.flush()
        if not serves and SERVES.search(line):
            serves = True
            ready(config, url=url)


if __name__ == "__main__":
    main()
