"""Models of another server of this machine that speaks OpenAI's protocol: Ollama, vLLM, LM Studio,
llama-server, another noibo. Nothing is started: they are reached."""
