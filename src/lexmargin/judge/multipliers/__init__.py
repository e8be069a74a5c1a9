"""What is known of the multipliers: vertices of their set, bounds, qualifications."""
