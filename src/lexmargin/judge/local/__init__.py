"""Points on kinks, symmetries, births, and curves along which the margin rises."""
