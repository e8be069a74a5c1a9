"""Floor 1: processes of our own, ended for certain, that end with their owner."""
