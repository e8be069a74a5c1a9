"""Lexicographic levels of linear scores, on the faces of the levels before."""
