"""vLLM: many answers at once, on one or several GPUs, or on the processor."""
