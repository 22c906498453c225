"""`wrk`, the load generator, and what it found."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format(
    'FOUND {{"requests": %d, "us": %d, "p50_ms": %f, "p99_ms": %f, "errors": %d}}',
    summary.requests, summary.duration, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Answers a second, and how long they took."""

    answers: int
    per_s: float
    p50_ms: float
    p99_ms: float


async def run(url: str, key: str, body: dict[str, Any], callers: int, seconds: float) -> Found:
    """So many callers, each asking again as soon as it is answered. Every answer must be a 200.
    What is still under way at the end does not count."""
    if not shutil.which("wrk"):
        raise SystemExit("This wants wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT.format(body=f"[==[{json.dumps(body)}]==]", key=key))
        process = await asyncio.create_subprocess_exec(
            *("wrk", "-t1", f"-c{callers}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"),
            *("-s", str(script), url),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    line = next(line for line in out.decode().splitlines() if line.startswith("FOUND "))
    found = json.loads(line.removeprefix("FOUND "))
    if found["errors"]:
        raise SystemExit(f"{url} did not answer every request: {found}")
    per_s = found["requests"] / (found["us"] / 1e6)
    return Found(found["requests"], per_s, found["p50_ms"], found["p99_ms"])
