"""Models of an Ollama that runs on this machine, by its own API: its OpenAI-compatible one cannot
be told how much context a request needs, and cuts a prompt without a word."""
