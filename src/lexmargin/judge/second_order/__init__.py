"""Second-order conditions, and the radius within which a maximum is strict."""
