"""OpenAI's API: chats, completions, embeddings, scores."""
