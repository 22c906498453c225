"""The package index that pip is set to, and wheels from it."""
