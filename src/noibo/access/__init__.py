"""Who may do what: keys, users, sessions. Knows no HTTP."""
