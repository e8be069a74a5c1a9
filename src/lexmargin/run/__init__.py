"""Runs of solvers: stages, starts, processes of their own, and the answer judged."""
