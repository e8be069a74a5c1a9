"""The seven problems of the paper, told from what others write.

Whatever judges, proves or polishes knows what these seven ask of a point, and nothing of a class
written elsewhere, whatever that class inherits or is called.
"""

from __future__ import annotations

from typing import Final

from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation, FormulationName
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet

__all__ = ["is_known", "require_known", "word_of"]

_KNOWN: Final[tuple[type[Formulation], ...]] = (
    HardMargin,
    MarginPath,
    ConstrainedPath,
    RegularizationPath,
    ScaledMargin,
    WSet,
    Lexicographic,
)


def is_known(problem: Formulation) -> bool:
    """Say whether the problem is one of the seven; a subclass may state another program."""
    return type(problem) in _KNOWN


def require_known(problem: Formulation) -> None:
    """Raise :class:`UnsupportedError` unless :func:`is_known`: another problem's test is none."""
    if not is_known(problem):
        raise UnsupportedError(
            f"{type(problem).__name__} brings no KKT data of its own, and no other problem's test "
            "says anything about it.",
            "Judge what its points must satisfy as plain arrays: certify(f=…, jacobian=…, "
            "theta=…, degree=…), or state it as one of the seven problems of the paper.",
        )


def word_of(problem: Formulation) -> str:
    """Return the problem's word for results: never one of the seven for a class of its own."""
    borrowed = not is_known(problem) and problem.name in set(FormulationName)
    return type(problem).__name__ if borrowed else str(problem.name)
