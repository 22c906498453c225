"""Run by a Python that has transformers: renders the chats on standard input, one answer each.

[{"template": …, "chat": {"messages": […], "tools": […], …}}, …]  →  [text or {"raised": …}, …]
"""

from __future__ import annotations

import json
import sys
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template


def rendered(template: str, chat: dict[str, Any]) -> Any:
    """The text, or what was raised instead."""
    chat = {**chat, "conversations": [chat["messages"]]}
    del chat["messages"]
    try:
        texts, _ = render_jinja_template(chat_template=template, **chat)
    except Exception as exc:  # noqa: BLE001 - a template raises what it likes
        return {"raised": f"{type(exc).__name__}: {exc}"}
    return texts[0]


if __name__ == "__main__":
    jobs = json.load(sys.stdin)
    json.dump([rendered(job["template"], job["chat"]) for job in jobs], sys.stdout)
