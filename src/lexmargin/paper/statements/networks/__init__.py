"""What the paper says of networks, on networks."""
