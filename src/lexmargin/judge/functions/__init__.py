"""What is known of margin functions at a point: kinks, slopes, symmetries, enclosures."""
