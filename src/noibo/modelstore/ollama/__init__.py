"""What Ollama's registry and store hold: manifests, small layers, Go templates."""
