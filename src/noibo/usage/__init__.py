"""What answers cost: prices, the ledger of all calls, budgets, and sums of both."""
