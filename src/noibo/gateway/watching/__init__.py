"""What can be seen of a running server: metrics, a line for each request, spans."""
