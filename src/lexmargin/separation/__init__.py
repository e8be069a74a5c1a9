"""Is the data separable by a linear score, and of which kind: exact answers."""
