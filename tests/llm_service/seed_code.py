"""The code of the fifth seed, verbatim but for the import, as its reader copies it."""

from __future__ import annotations

from typing import Final

IMPORT: Final = ("from services.llm_service import", "from noibo.llm_service import")

BASIC: Final = """\
from noibo.llm_service import llm_service

# Khởi tạo
await llm_service.load_model()

# Tạo câu trả lời
answer = llm_service.generate_answer(
    question="Trí tuệ nhân tạo là gì?",
    context="Context từ RAG search...",
    max_tokens=1000,
    temperature=0.7
)

# Cleanup
await llm_service.cleanup()
"""

ADVANCED: Final = """\
# Cấu hình GPU optimization
llm_service.optimize_for_gpu(
    use_quantization=True,
    load_in_8bit=True,
    load_in_4bit=False
)

# Load model với optimization
await llm_service.load_model()

# Generate với parameters khác nhau
answer = llm_service.generate_answer(
    question="Câu hỏi của bạn",
    context="Context từ RAG",
    max_tokens=500,
    temperature=0.5
)

# Streaming response
async for chunk in llm_service.generate_answer_with_streaming(
    question="Câu hỏi",
    context="Context",
    max_tokens=1000,
    temperature=0.7
):
    print(chunk, end="", flush=True)

# Cập nhật generation config
llm_service.update_generation_config(
    temperature=0.8,
    top_p=0.9,
    top_k=50
)

# Quản lý GPU memory
llm_service.clear_gpu_cache()

# Thông tin model
info = llm_service.get_model_info()
print(f"GPU: {info['gpu_name']}")
print(f"Memory: {info['gpu_memory_allocated']:.1f} GB")
"""

SCRIPT: Final = """\
import asyncio
from noibo.llm_service import llm_service

async def test():
    await llm_service.load_model()
    answer = llm_service.generate_answer('Hello world')
    print(f'Answer: {answer}')

asyncio.run(test())
"""

DEBUG: Final = """\
import logging
logging.basicConfig(level=logging.DEBUG)

# Enable debug logging
logger = logging.getLogger()
logger.setLevel(logging.DEBUG)
"""

RAG: Final = """\
# Kết hợp với RAG
context = rag_search(query)
answer = llm_service.generate_answer(query, context)
"""

DOCUMENT: Final = """\
# Hỏi đáp về tài liệu
answer = llm_service.generate_answer(
    question="Nội dung chính của tài liệu là gì?",
    context=document_content
)
"""

CODE: Final = """\
# Tạo code
code = llm_service.generate_answer(
    question="Viết function Python để sort array",
    context="Python programming best practices"
)
"""

TRANSLATION: Final = """\
# Dịch thuật
translation = llm_service.generate_answer(
    question="Dịch sang tiếng Anh: Xin chào",
    context="Translation task"
)
"""

CLASS: Final = """\
# Trong llm_service.py
class LLMService:
    def __init__(self, model_path="models/llm"):
        self.model_path = model_path
        self.max_length = 4096
        self.use_quantization = True
        self.load_in_8bit = True
        self.load_in_4bit = False
"""

USE_CASES: Final = (RAG, DOCUMENT, CODE, TRANSLATION)
BLOCKS: Final = (BASIC, ADVANCED, SCRIPT, DEBUG, CLASS, *USE_CASES)
# Its advice on what goes wrong, in its words: calls that must exist.
ADVICE: Final = (
    "llm_service.optimize_for_gpu(load_in_8bit=True)",
    "llm_service.clear_gpu_cache()",
)
