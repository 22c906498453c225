"""OpenAI's responses: made, kept, built upon."""
