"""Certificates of programs with their own scale, of losses, and of linear margins."""
