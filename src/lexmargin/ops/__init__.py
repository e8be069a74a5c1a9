"""Floor 1: the few array operations a predictor may use, one file per target."""
