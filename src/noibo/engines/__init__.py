"""Engines: how models are run. Every engine is a process that speaks OpenAI's protocol."""
