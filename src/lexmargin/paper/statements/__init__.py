"""One module per statement, named after it."""
