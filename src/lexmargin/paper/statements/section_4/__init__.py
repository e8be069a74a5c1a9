"""Statements of §4, homogeneous models."""
