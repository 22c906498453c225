"""OpenAI's files: uploaded, kept, read again."""
