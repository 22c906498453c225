"""A llama-server that the user has: llama.cpp's own program, of whatever build, run and watched as
noibo's own workers are."""
