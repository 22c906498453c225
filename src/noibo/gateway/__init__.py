"""The HTTP server: routes, the one path of a request, and the relay of bytes."""
