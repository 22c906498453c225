"""What commands and routes do to the store: pulls, checks, cleaning, mending."""
