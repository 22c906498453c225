"""Which workers run, who waits for them, and what happens when one fails."""
