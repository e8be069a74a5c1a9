"""Levels after the first of a lexicographic answer: bounded, or proved."""
