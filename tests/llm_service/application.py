"""An application of one's own with a model in it, as the seed's `uvicorn main:app` is one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from noibo.llm_service import llm_service


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await llm_service.load_model()
    yield
    await llm_service.cleanup()


app = FastAPI(lifespan=lifespan, telemetry={"auto_configure": False})


@app.get("/plain")
def plain(question: str) -> dict[str, str]:
    return {"answer": llm_service.generate_answer(question)}


@app.get("/waiting")
async def waiting(question: str) -> dict[str, str]:
    return {"answer": await llm_service.generate_answer_async(question)}


@app.get("/streaming")
async def streaming(question: str) -> StreamingResponse:
    pieces = llm_service.generate_answer_with_streaming(question)
    return StreamingResponse(pieces, media_type="text/plain")


@app.get("/pid")
def pid() -> int:
    found = llm_service.get_model_info()["pid"]
    assert isinstance(found, int)
    return found
