"""Faults under load: what is killed, stopped, filled or starved, and what callers see of it."""
