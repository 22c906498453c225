"""What workers take of the machine's memory: estimated before, measured after, kept in a budget."""
