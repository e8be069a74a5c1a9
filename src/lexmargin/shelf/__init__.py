"""The shelves: problems and solver profiles as data."""
