"""OpenAI's batches: files of requests, answered when nobody else waits."""
