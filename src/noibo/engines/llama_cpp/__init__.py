"""llama.cpp as an engine: its adapter, its processes, and what is its own."""
