"""Losses of linear scores on the ball: Newton's method at every scale."""
