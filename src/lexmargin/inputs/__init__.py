"""What users give: kinds, numbers, arrays and files, checked once."""
