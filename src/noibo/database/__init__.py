"""What noibo keeps: one schema, in a SQLite file of its own or in a PostgreSQL database."""
