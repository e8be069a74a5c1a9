"""Networks with kinked activations: patterns, convex-concave steps, two-layer routes."""
