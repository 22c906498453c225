"""HTTP with the places models come from."""
