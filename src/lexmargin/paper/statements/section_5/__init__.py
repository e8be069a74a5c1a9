"""Section 5: what the paper asks in closing."""
