"""Rows, kinks and slopes of networks of PyTorch and of JAX."""
