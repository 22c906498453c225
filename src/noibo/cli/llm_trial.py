"""`noibo llm test`: the model is loaded, asked and listened to, as a program would do it."""

from __future__ import annotations

import asyncio
import json as jsonlib
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from noibo.cli.context import settings
from noibo.cli.terminal import harmless
from noibo.llm_service import LLMService

QUESTION: Final = "Thủ đô của Việt Nam là gì?"
CONTEXT: Final = "Hà Nội là thủ đô của Việt Nam."
STREAMED: Final = "Say hello in one short sentence."
QUESTIONS: Final = (
    "Trí tuệ nhân tạo là gì?",
    "What is machine learning?",
    "Viết function Python để sort array.",
    "Dịch sang tiếng Anh: Xin chào",
    "Name three uses of a language model.",
)


@dataclass(slots=True)
class Trial:
    """What was seen. Times in seconds, memory in GB."""

    model: str = ""
    load_s: float = 0.0
    answer_s: float = 0.0
    answer: str = ""
    thoughts: str = ""  # before that answer
    stream_first_s: float = 0.0
    stream_s: float = 0.0
    streamed: str = ""
    pieces: int = 0
    streamed_tokens: int = 0  # thoughts too, which are no pieces
    answered: int = 0  # of the questions asked one after the other
    mean_s: float = 0.0  # of those answers
    tokens_per_second: float = 0.0
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> dict[str, bool]:
        """Each test: whether it did what it is for. A model that thinks works, too, where it comes
        to the limit before it answers."""
        return {
            "load": bool(self.info.get("loaded")),
            "answer": bool(self.answer.strip() or self.thoughts),
            "stream": self.streamed_tokens > 0,
            "performance": self.answered == len(QUESTIONS),
        }


def try_out(model: str, max_tokens: int, *, json: bool) -> bool:
    """True if all of it worked. Raises what keeps the model from being loaded or asked."""
    tree = settings(plain=True)
    trial = asyncio.run(trial_of(LLMService(model, tree=tree), max_tokens))
    if json:
        print(jsonlib.dumps({**asdict(trial), "passed": trial.passed}, ensure_ascii=False))
    else:
        _say(trial)
    return all(trial.passed.values())


async def trial_of(service: LLMService, max_tokens: int) -> Trial:
    """The model loaded, asked, listened to, and unloaded."""
    trial, clock = Trial(), time.perf_counter
    began = clock()
    async with service:
        trial.load_s = clock() - began
        answer = await service.generate_answer_async(QUESTION, CONTEXT, max_tokens)
        trial.answer, trial.thoughts = str(answer), answer.taken.thoughts
        trial.answer_s = answer.taken.seconds
        trial.tokens_per_second = answer.taken.tokens_per_second
        before, began = service.get_model_info()["tokens_generated"], clock()
        async for piece in service.generate_answer_with_streaming(STREAMED, None, max_tokens):
            trial.stream_first_s = trial.stream_first_s or clock() - began
            trial.streamed += piece
            trial.pieces += 1
        trial.stream_s = clock() - began
        trial.streamed_tokens = service.get_model_info()["tokens_generated"] - before
        trial.answered, trial.mean_s = await _asked(service, max_tokens)
        trial.info = service.get_model_info()
    trial.model = trial.info["model_name"]
    return trial


async def _asked(service: LLMService, max_tokens: int) -> tuple[int, float]:
    """One question after the other: how many are answered, or thought about, and seconds of an
    answer at the mean."""
    taken = []
    for question in QUESTIONS:
        answer = await service.generate_answer_async(question, None, max_tokens)
        if answer.strip() or answer.taken.thoughts:
            taken.append(answer.taken.seconds)
    return len(taken), sum(taken) / max(len(taken), 1)


def _say(trial: Trial) -> None:
    info, passed = trial.info, trial.passed
    marks = {name: "ok  " if good else "FAIL" for name, good in passed.items()}
    print(f"{marks['load']}  loaded {trial.model} {info['quantization']} in {trial.load_s:.1f} s")
    print(
        f"      device {info['device']}, GPU {info['gpu_name']}, "
        f"{info['memory_allocated']:.2f} GB memory, {info['gpu_memory_allocated']:.2f} GB on GPUs, "
        f"context {info['max_length']}"
    )
    print(
        f"{marks['answer']}  answered in {trial.answer_s:.2f} s, "
        f"{trial.tokens_per_second:.1f} tokens a second"
    )
    print(f"      {QUESTION}\n      {_shown(trial.answer, trial.thoughts)}")
    print(
        f"{marks['stream']}  streamed in {trial.stream_s:.2f} s, "
        f"the first of {trial.pieces} pieces after {trial.stream_first_s:.2f} s"
    )
    print(f"      {STREAMED}\n      {_shown(trial.streamed)}")
    print(
        f"{marks['performance']}  {trial.answered} of {len(QUESTIONS)} questions answered, "
        f"{trial.mean_s:.2f} s each at the mean"
    )
    for hint in info["advice"]:
        print(f"note  {hint}")
    print(f"{sum(passed.values())} of {len(passed)} tests passed.")


def _shown(answer: str, thoughts: str = "") -> str:
    """An answer on a terminal; where there is none, what came instead."""
    if said := harmless(answer).strip():
        return said
    return f"(thoughts only: {harmless(thoughts).strip()})" if thoughts else "(no text)"
