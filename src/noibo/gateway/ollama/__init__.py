"""Ollama's API: chats and completions, models, and how they are made and fetched."""
