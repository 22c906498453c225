"""Models on disk: names, sources, download, the store."""
