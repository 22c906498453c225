"""Models that other programs have, used where they lie."""
