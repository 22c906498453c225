"""A model in a program, without a server: load it, ask it, hear it word by word."""

import asyncio

from noibo.llm_service import llm_service


async def main() -> None:
    await llm_service.load_model()  # LLM_MODEL_PATH, else the default model
    answer = llm_service.generate_answer(
        question="What is the capital of Vietnam?",
        context="Hanoi is the capital of Vietnam.",
        max_tokens=30,
        temperature=0,
    )
    print(answer)
    async for word in llm_service.generate_answer_with_streaming(
        "Count to five.", max_tokens=20, words_per_second=20
    ):
        print(word, end="", flush=True)
    info = llm_service.get_model_info()
    print(f"\n{info['model_name']} on {info['device']}: {info['memory_allocated']:.2f} GB")
    await llm_service.cleanup()


asyncio.run(main())
