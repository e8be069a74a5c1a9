"""Bounds on the margin over all directions: what makes a word global."""
