"""The same in an application: `uvicorn llm_service_app:app`, then `curl :8000/ask?question=Hi`."""

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


app = FastAPI(lifespan=lifespan)


@app.get("/ask")
async def ask(question: str, context: str = "") -> dict[str, str]:
    return {"answer": await llm_service.generate_answer_async(question, context, max_tokens=50)}


@app.get("/stream")
async def stream(question: str) -> StreamingResponse:
    pieces = llm_service.generate_answer_with_streaming(question, max_tokens=50)
    return StreamingResponse(pieces, media_type="text/plain; charset=utf-8")
