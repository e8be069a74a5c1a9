"""HiGHS as a simplex method that says nothing, for one program after another."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["DUAL", "PRIMAL", "simplex_solver"]

DUAL, PRIMAL = 1, 4
"""HiGHS's numbers for ``simplex_strategy``."""
_FEASIBILITY: Final = 1e-10
"""The tightest tolerance that HiGHS accepts, for rows of unit size."""


def simplex_solver() -> Any:
    """Return a silent HiGHS simplex solver."""
    import highspy

    # The public class prints a banner before it can be silenced; its base class does not.
    solver: Any = highspy._core._Highs()
    for option, value in (
        ("output_flag", False),
        ("small_matrix_value", 1e-12),
        ("solver", "simplex"),
        ("primal_feasibility_tolerance", _FEASIBILITY),
        ("dual_feasibility_tolerance", _FEASIBILITY),
    ):
        solver.setOptionValue(option, value)
    return solver
