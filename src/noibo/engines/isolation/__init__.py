"""What a worker process is kept from: other files, other hosts, other memory."""
