"""What must not be changed unseen: rows in a file, each with the digest of the one before."""
