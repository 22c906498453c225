"""The version, for everything that must say it."""

__version__ = "0.1.0"
