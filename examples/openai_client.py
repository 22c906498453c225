"""The official OpenAI client on a local model. Only the base URL is noibo's.

pip install openai; then: noibo serve, and in another terminal: python openai_client.py
"""

import os

import openai

local_client = openai.OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11500/v1"), api_key="dummy"
)

response = local_client.chat.completions.create(
    model="smollm2:135m",
    messages=[
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "Explain quantum computing"},
    ],
    temperature=0.2,
    max_tokens=60,
)
print(response.choices[0].message.content)
