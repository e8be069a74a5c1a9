"""Networks trained elsewhere, judged by their margins and gradients."""
