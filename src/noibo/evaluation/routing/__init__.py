"""Measuring the router as its field does, and learning its weights.

`samples` reads labelled prompts, `folds` keeps near-duplicates together, `fitting` is logistic
regression with a prior, `learning` makes weights of it, `curves` and `bootstrap` say what a router
is worth, `trials` runs them within sources and across, `card` writes it down.
"""
