"""Shapes on the wire: what other people's protocols look like. No I/O, no decisions."""
