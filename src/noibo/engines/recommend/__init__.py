"""Which models of the catalogue suit a machine and a use, and why."""
