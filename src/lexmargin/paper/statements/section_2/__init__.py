"""Statements of §2, the paths and their two forms."""
