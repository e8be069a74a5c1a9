"""Nonconvex programs of smooth margins."""
