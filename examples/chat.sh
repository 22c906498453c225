#!/bin/sh
# The API with nothing but curl.
curl --silent --fail "${OPENAI_BASE_URL:-http://127.0.0.1:11500/v1}/chat/completions" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "smollm2:135m",
    "messages": [{"role": "user", "content": "Hello!"}],
    "max_tokens": 20
  }'
