"""What a server keeps: on PostgreSQL as on SQLite, and never on the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import uvicorn
from blockbuster import blockbuster_ctx

from noibo.gateway.app import create_app
from noibo.serving import open_services
from noibo.settings import load
from tests.postgresql import running_postgresql
from tests.running import RunningServer, until

FORM = {
    "files": {"file": ("in.jsonl", b"{}")},
    "data": {"purpose": "batch"},
}


@pytest.mark.anyio
async def test_nothing_that_is_stored_blocks_the_event_loop() -> None:
    tree = load()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(lambda: open_services(tree, lambda: None))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="asyncio"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        while not server.started:
            await asyncio.sleep(0.01)
        await client.get("/v1/batches")  # what is imported once is imported
        await client.post("/v1/files", **FORM)
        with blockbuster_ctx():
            asked: dict[str, Any] = {"model": "echo", "input": "one two"}
            made = await client.post("/v1/responses", json=asked)
            name = made.json()["id"]
            more = asked | {"previous_response_id": name}
            file = await client.post("/v1/files", **FORM)
            batch = {"endpoint": "/v1/completions", "completion_window": "24h"}
            batch |= {"input_file_id": file.json()["id"]}
            answers = [
                made,
                await client.post("/v1/responses", json=more | {"stream": True}),
                await client.post("/v1/responses", json=more | {"background": True}),
                await client.get(f"/v1/responses/{name}"),
                await client.get(f"/v1/responses/{name}/input_items"),
                file,
                await client.get("/v1/files"),
                await client.get(f"/v1/files/{file.json()['id']}/content"),
                await client.post("/v1/batches", json=batch),
                await client.get("/v1/batches"),
                await client.delete(f"/v1/responses/{name}"),
            ]
            await asyncio.sleep(0.3)
    server.should_exit = True
    await serving
    assert [answer.status_code for answer in answers] == [200] * len(answers)


@pytest.mark.heavy
def test_all_of_it_is_kept_in_postgresql_too(home: Path) -> None:
    with (
        running_postgresql() as url,
        RunningServer(home, NOIBO_DATABASE_URL=url) as server,
        openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client,
    ):
        first = client.responses.create(model="echo", input="a\0b Huế", metadata={"k": "\0"})
        second = client.responses.create(model="echo", input="c", previous_response_id=first.id)
        assert client.responses.retrieve(first.id) == first
        assert second.usage is not None
        assert second.usage.input_tokens == 5
        assert len(client.responses.input_items.list(second.id).data) == 1
        away = client.responses.create(model="echo", input="d e", background=True)
        until(lambda: client.responses.retrieve(away.id).status == "completed", "it is done")
        assert list(client.responses.retrieve(away.id, stream=True))
        client.responses.delete(first.id)
        for name in ("resp_0", "%00", first.id):
            assert httpx2.get(f"{server.url}/v1/responses/{name}").status_code == 404
        made = [client.files.create(file=(str(i), b""), purpose="evals").id for i in range(4)]
        assert [one.id for one in client.files.list(order="asc", limit=2)] == made
        rows = [
            {
                "custom_id": f"c{i}",
                "method": "POST",
                "url": "/v1/completions",
                "body": {"model": "echo", "prompt": f"say {i}"},
            }
            for i in range(10)
        ]
        data = "\n".join(map(json.dumps, rows)).encode()
        file = client.files.create(file=("in", data), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
        )
        until(lambda: client.batches.retrieve(batch.id).status == "completed", "it is done")
        output = client.files.content(client.batches.retrieve(batch.id).output_file_id or "")
        assert [json.loads(row)["custom_id"] for row in output.text.splitlines()] == [
            f"c{i}" for i in range(10)
        ]
        assert not (home / "noibo.db").exists()


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_is_said_loses_nothing_and_is_got_over(tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", home], check=True)
    try:
        with (
            RunningServer(home) as server,
            openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client,
        ):
            kept = client.responses.create(model="echo", input="kept")
            with pytest.raises(openai.InternalServerError) as caught:
                client.files.create(file=("big", b"x" * 8_000_000), purpose="user_data")
            assert caught.value.status_code == 507
            assert list((home / "files").iterdir()) == []
            (home / "filler").write_bytes(b"x" * (shutil.disk_usage(home).free - 8192))
            with pytest.raises(openai.InternalServerError) as caught:
                client.responses.create(model="echo", input="word " * 20_000)
            assert (caught.value.status_code, caught.value.code) == (507, "disk_full")
            events = list(client.responses.create(model="echo", input="a " * 9000, stream=True))
            assert events[-1].type == "response.failed"
            assert [one.sequence_number for one in events] == list(range(len(events)))
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "still here"}]
            )
            assert answer.choices[0].message.content == "still here"
            assert client.responses.retrieve(kept.id) == kept
            (home / "filler").unlink()
            more = client.responses.create(model="echo", input="b", previous_response_id=kept.id)
            assert more.output_text == "b"
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)
