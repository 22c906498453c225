"""noibo's own routes, under `/noibo/v1/`."""
