"""Receipts: written, read strictly, and recomputed from their numbers."""
