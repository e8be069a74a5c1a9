"""Statements of §1 and of the contributions: algorithms and losses."""
