"""GGUF files, read and described without an engine."""
