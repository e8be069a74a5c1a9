"""Questions that the paper leaves open, answered on named instances."""
