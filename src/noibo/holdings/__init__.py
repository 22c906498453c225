"""What is kept of persons: found, exported, erased, and let go when it is old enough."""
