"""One verb for every problem: `certify`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.judge import certify_arrays
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.errors import ParameterError
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature

__all__ = ["certify"]


def certify(
    problem: Formulation | None = None,
    theta: ArrayLike | Sequence[FloatArray] | None = None,
    *,
    f: ArrayLike | None = None,
    jacobian: ArrayLike | None = None,
    degree: float | None = None,
    norm: float = 2.0,
    linear: bool = False,
    tolerances: Tolerances = DEFAULT,
) -> Certificate:
    """Judge a direction: of a problem of the paper, or of plain arrays (Definition 3, rescaled).

    Args:
        problem: a formulation; then ``theta`` is flat ``(d,)`` or one array per block.
        theta: the point, at any scale for homogeneous predictors.
        f, jacobian, degree: margins ``(N,)``, gradients ``(N, d)`` and α instead of a problem.
        norm, linear: for plain arrays, as in :func:`certify_arrays`.
        tolerances: what counts as equal.

    Raises:
        ParameterError: neither a problem nor complete arrays.
        ShapeError, DataError, DegreeError: as :func:`certify_arrays`.
    """
    if theta is None:
        raise ParameterError("There is nothing to certify.", "Give theta.")
    if problem is None:
        if f is None or jacobian is None or degree is None:
            raise ParameterError(
                "Without a problem, certify needs f, jacobian and degree.", "Give all three."
            )
        return certify_arrays(
            f, jacobian, np.asarray(theta), degree, norm, tolerances, linear=linear
        )
    functions = problem.functions
    flat = np.asarray(theta, dtype=float) if _is_flat(theta) else functions.flatten(list(theta))  # type: ignore[arg-type]
    alpha = problem.require_homogeneous()
    return certify_arrays(
        functions.values(flat),
        functions.jacobian(flat),
        flat,
        alpha,
        problem.norm_p,
        tolerances,
        linear=functions.curvature is Curvature.AFFINE and alpha == 1.0,
    )


def _is_flat(theta: object) -> bool:
    if isinstance(theta, np.ndarray):
        return theta.ndim == 1
    return isinstance(theta, Sequence) and all(np.ndim(entry) == 0 for entry in theta)
