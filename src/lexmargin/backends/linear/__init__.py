"""Hard margins of linear scores: working sets and row generation."""
