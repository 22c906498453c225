"""Models of another server that speaks OpenAI's protocol: Ollama, vLLM, LM Studio, llama-server,
another noibo on this machine; or one elsewhere, as OpenRouter's. Nothing is started: they are
reached."""
