"""What this machine can do: asked of it, measured on it, or read from a line of words."""
