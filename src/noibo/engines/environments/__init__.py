"""Engines in environments of their own, below NOIBO_HOME: installed, proven, chosen, removed."""
