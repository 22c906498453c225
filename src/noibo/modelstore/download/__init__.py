"""One file brought here, whatever happens on the way."""
