"""One verb for every problem: `certify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import ParameterError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import require_known
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.inputs.kinds import Exponent, checked, described
from lexmargin.judge.bounds.range import finite_words, out_of_range
from lexmargin.judge.bounds.signs import with_shown_sign
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.directions import certify_direction
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.programs.linear_problems import certify_linear_problem, linear_w_set
from lexmargin.judge.programs.long_words import with_long_numbers
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.trained.modules import is_module
from lexmargin.linalg.norms import unit_scale, vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature

__all__ = ["certify", "flattened"]


@checked
def certify(
    problem: Formulation | Any | None = None,
    theta: ArrayLike | Sequence[FloatArray] | None = None,
    y: ArrayLike | None = None,
    *,
    f: ArrayLike | None = None,
    jacobian: ArrayLike | None = None,
    degree: float | None = None,
    norm: Exponent = 2.0,
    linear: bool = False,
    tolerances: Tolerances = DEFAULT,
) -> Certificate:
    """Judge a direction: of a problem of the paper, or of plain arrays (Definition 3, rescaled).

    Args:
        problem: a formulation; then ``theta`` is flat ``(d,)`` or one array per block. Or a torch
            module; then what follows are the samples X and the labels y, as
            :func:`~lexmargin.judge.trained.trained.certify_module` takes them.
        theta: the point as the paper states the problem; the margin problems of homogeneous
            predictors are judged by its direction, at any scale.
        f, jacobian, degree: margins ``(N,)``, gradients ``(N, d)`` and α instead of a problem.
        norm, linear: for plain arrays, as in :func:`certify_arrays`.
        tolerances: what counts as equal.

    Raises:
        ParameterError: neither a problem nor complete arrays.
        ShapeError, DataError, DegreeError: as :func:`certify_arrays`.
        UnsupportedError: a formulation that is none of the paper's seven.
    """
    if theta is None:
        raise ParameterError("There is nothing to certify.", "Give theta.")
    if is_module(problem):
        if y is None:
            raise ParameterError(
                "A module needs samples and labels.", "Call certify(module, X, y)."
            )
        from lexmargin.judge.trained.trained import certify_module

        return certify_module(problem, theta, y, degree=degree, norm=norm, tolerances=tolerances)
    if y is not None:
        raise ParameterError("Labels belong to a torch module.", "Leave y out.")
    if problem is None:
        if f is None or jacobian is None or degree is None:
            raise ParameterError(
                "Without a problem, certify needs f, jacobian and degree.", "Give all three."
            )
        return certify_arrays(f, jacobian, theta, degree, norm, tolerances, linear=linear)
    if not isinstance(problem, Formulation):
        raise ParameterError(f"{described(problem)} cannot be certified.", _advice(problem))
    require_known(problem)
    flat = flattened(problem, theta)
    with np.errstate(all="ignore"):
        try:
            found = _certify_problem(problem, flat, tolerances)
        except (ArithmeticError, np.linalg.LinAlgError):
            found = out_of_range(problem, flat, tolerances)
        return finite_words(with_shown_sign(found, problem, flat))


def _advice(given: object) -> str:
    if isinstance(given, (str, Path)):
        return "Load it: certify(lexmargin.load(…), theta)."
    if isinstance(given, type):
        return f"Make one of it: {given.__name__}(…)."
    return (
        "Give a formulation such as HardMargin, a torch module, or f, jacobian and degree; "
        "certify_function takes JAX functions."
    )


def _certify_problem(problem: Formulation, flat: FloatArray, limits: Tolerances) -> Certificate:
    # Each problem brings its own modules: a linear one needs a third of all.
    if problem.data.is_sparse or linear_w_set(problem):
        return certify_linear_problem(problem, flat, limits)
    if isinstance(problem, (ConstrainedPath, RegularizationPath)):
        from lexmargin.judge.programs import loss_programs

        if isinstance(problem, ConstrainedPath):
            return loss_programs.certify_constrained_path(problem, flat, limits)
        return loss_programs.certify_regularization_path(problem, flat, limits)
    homogeneous = problem.functions.homogeneity.degree is not None
    plain = isinstance(problem, MarginPath) and not homogeneous
    if plain or isinstance(problem, (ScaledMargin, WSet)):
        from lexmargin.judge import margin_programs

        if isinstance(problem, ScaledMargin):
            found = margin_programs.certify_scaled_margin(problem, flat, limits)
            return _one_linear_part(problem, flat, found)
        if isinstance(problem, WSet):
            found = margin_programs.certify_w_set(problem, flat, limits)
            return _one_linear_part(problem, flat, found)
        assert isinstance(problem, MarginPath)
        return margin_programs.certify_margin_path(problem, flat, limits)
    if isinstance(problem, Lexicographic):
        return _certify_levels(problem, flat, limits)
    return _certify_direction(problem, flat, limits)


def _one_linear_part(problem: Formulation, flat: FloatArray, found: Certificate) -> Certificate:
    """Judge eq. 13 and 14 of one linear part as the hard margins that they are, at margin 1."""
    functions = problem.functions
    if functions.curvature is not Curvature.AFFINE or functions.homogeneity.degree != 1.0:
        return found
    return with_long_numbers(found, functions.jacobian(flat), flat, 1.0)


def _certify_direction(problem: Formulation, flat: FloatArray, limits: Tolerances) -> Certificate:
    alpha = problem.require_homogeneous()
    return certify_direction(problem.functions, flat, alpha, problem.norm_p, limits)


def _certify_levels(problem: Lexicographic, flat: FloatArray, limits: Tolerances) -> Certificate:
    from lexmargin.judge.levels.level_proofs import with_levels
    from lexmargin.judge.margin_programs import certify_margin_path

    functions, count = problem.functions, problem.levels or problem.functions.count
    alpha = functions.homogeneity.degree
    if alpha is None:
        level = MarginPath(problem.predictor, problem.data, 1.0, problem.norm_p)
        first = certify_margin_path(level, flat, limits)
        return with_levels(first, None, flat, functions.values(flat), count, limits)
    flat = unit_scale(flat)
    first = _certify_direction(problem, flat, limits)
    linear = functions.curvature is Curvature.AFFINE and alpha == 1.0
    values = functions.values(flat) / vector_norm(flat, problem.norm_p) ** alpha
    Z = functions.jacobian(flat) if linear else None
    return with_levels(first, Z, flat, values, count, limits)


def flattened(problem: Formulation, theta: ArrayLike | Sequence[FloatArray]) -> FloatArray:
    """Return θ flat ``(d,)``, from a flat vector or from one array per block.

    Raises :class:`~lexmargin.errors.ShapeError` where it does not fit the predictor, and
    :class:`~lexmargin.errors.DataError` where it is not finite.
    """
    return problem.functions.point(theta)
