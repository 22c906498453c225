"""noibo's own client: an answer whole, then one as it comes, with its numbers."""

from noibo import Client
from noibo.client import Answer

with Client() as noibo:
    print(noibo.chat("Say hello.", "smollm2:135m", max_tokens=20).text)

    answer = Answer()
    for piece in noibo.stream("Count to five.", "smollm2:135m", answer, max_tokens=30):
        print(piece, end="", flush=True)
    print(f"\n{answer.usage['completion_tokens']} tokens from {answer.model}")
