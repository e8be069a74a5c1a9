"""`--exact`: a proof in rational arithmetic for linear margins, in balls for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.certificate.certify import flattened
from lexmargin.certificate.exact_linear import (
    ExactGap,
    ExactMargin,
    exact_gap,
    exact_max_margin,
    summary,
)
from lexmargin.certificate.krawczyk import KktProof, prove_kkt
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation, FormulationName
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature

__all__ = ["LinearProof", "prove"]

_NEAR = 1e-6


@final
@dataclass(frozen=True, eq=False)
class LinearProof:
    """The exact max margin, and how far the given direction is from it."""

    exact: ExactMargin
    gap: ExactGap

    @property
    def proved(self) -> bool:
        """Whether the given margin is proved to be the maximum up to a relative 1e-6."""
        return self.gap.gap <= _NEAR

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"proved": self.proved, **summary(self.exact, self.gap)}

    def report(self) -> str:
        """Return a short text."""
        word = "holds" if self.exact.licq else "fails"
        lines = [
            ("exact margin", f"{self.exact.margin:.15g}, proved in rational arithmetic"),
            ("exact gap", f"{self.gap.gap:.3e} of the direction given"),
            ("exact LICQ", f"{word} on {len(self.exact.active)} active samples"),
        ]
        return "\n".join(f"{name:<16}{text}" for name, text in lines)


def prove(problem: Formulation, theta: ArrayLike | Sequence[FloatArray]) -> LinearProof | KktProof:
    """Prove a max-margin answer: exactly for linear margins, else that a KKT point is near.

    Args:
        problem: hard-margin, or margin-path, of a homogeneous predictor.
        theta: (d,) or one array per block.

    Raises:
        UnsupportedError: another formulation, or a norm without an exact method.
        NotSeparableError: no direction has a positive margin.
    """
    functions = problem.functions
    names = (FormulationName.HARD_MARGIN, FormulationName.MARGIN_PATH)
    if problem.name not in names or functions.homogeneity.degree is None:
        raise UnsupportedError(
            f"There is no exact proof for {problem.name.value} with this predictor.",
            "Exact proofs exist for hard-margin and margin-path of homogeneous predictors.",
        )
    flat, norm = flattened(problem, theta), problem.norm_p
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if linear and (norm in (1.0, 2.0) or math.isinf(norm)):
        rows = functions.jacobian(np.zeros(functions.size))
        found = exact_max_margin(rows, norm, flat)
        return LinearProof(found, exact_gap(rows, found, flat))
    if norm != 2.0:
        raise UnsupportedError(
            f"There is no exact proof for the norm {norm:g} with this predictor.",
            "Use the norm 2, or 1, 2 or inf with a linear predictor.",
        )
    return prove_kkt(functions, flat)
