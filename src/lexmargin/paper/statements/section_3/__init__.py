"""Statements of §3, non-homogeneous models."""
