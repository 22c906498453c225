"""The context contract: what is longer than a model's window is refused, or cut as it was agreed,
and what was cut is said. Nothing is cut silently."""
