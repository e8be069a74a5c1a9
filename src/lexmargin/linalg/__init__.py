"""Linear algebra that names no problem: norms, rows, exact numbers, guarded solvers."""
