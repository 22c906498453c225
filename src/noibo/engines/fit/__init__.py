"""Will a model run here, how large, how fast: said before it is loaded, or even fetched."""
