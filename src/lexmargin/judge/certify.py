"""One verb for every problem: `certify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import ParameterError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import Exponent, checked, described
from lexmargin.judge.bounds.signs import with_shown_sign
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import ESTABLISHED, Evidence
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.programs.directions import certify_along
from lexmargin.judge.programs.linear_problems import certify_linear_kkt, linear_w_set
from lexmargin.judge.programs.recentred import recentred
from lexmargin.judge.proved import names_a_bound
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.trained.modules import is_module
from lexmargin.judge.unmeasured import finite_words, out_of_range
from lexmargin.linalg.norms import Array
from lexmargin.ops.base import FloatArray
from lexmargin.solution import Solution

__all__ = ["certify", "certify_kkt", "flattened", "judged"]


@checked
def certify(
    problem: Formulation | Any | None = None,
    theta: ArrayLike | Sequence[FloatArray] | Solution | None = None,
    y: ArrayLike | None = None,
    *,
    f: ArrayLike | None = None,
    jacobian: ArrayLike | None = None,
    degree: float | None = None,
    norm: Exponent = 2.0,
    linear: bool = False,
    tolerances: Tolerances = DEFAULT,
    multipliers: Array | None = None,
) -> Certificate:
    """Judge a direction: of a problem of the paper, or of plain arrays (Definition 3, rescaled).

    Args:
        problem: a formulation; then ``theta`` is flat ``(d,)`` or one array per block. Or a torch
            module; then what follows are the samples X and the labels y, as
            :func:`~lexmargin.judge.trained.trained.certify_module` takes them.
        theta: the point as the paper states the problem. Where f_n are homogeneous and every
            parameter costs the same it is judged by its direction: at any scale, unless the
            problem asks for a level. Of a :class:`~lexmargin.solution.Solution`, as one that was
            read from a file, θ is judged, and its multipliers are claimed.
        f, jacobian, degree: margins ``(N,)``, gradients ``(N, d)`` and α instead of a problem.
        norm, linear: for plain arrays, as in :func:`certify_arrays`.
        tolerances: what counts as equal.
        multipliers: λ ``(N,)`` that somebody claims, for a problem of linear margins, at any scale,
            or those of one level after another ``(L, N)``: measured first, negative ones as 0.
            Others are sought only where they do not serve.

    Raises:
        ParameterError: neither a problem nor complete arrays.
        ShapeError, DataError, DegreeError: as :func:`certify_arrays`.
        UnsupportedError: a formulation that brings no KKT data of its own.
    """
    if theta is None:
        raise ParameterError("There is nothing to certify.", "Give theta.")
    if isinstance(theta, Solution):
        multipliers = theta.claims if multipliers is None else multipliers
        theta = theta.theta
    if isinstance(problem, Formulation) and y is None:
        with np.errstate(all="ignore"):
            kkts = problem.kkt(flattened(problem, theta))
            return certify_kkt(kkts, tolerances, multipliers)
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
    raise ParameterError(f"{described(problem)} cannot be certified.", _advice(problem))


def certify_kkt(
    kkts: tuple[Kkt, ...], tolerances: Tolerances = DEFAULT, multipliers: Array | None = None
) -> Certificate:
    """Judge a point by what its problem says a stationary point satisfies.

    Args:
        kkts: :meth:`Formulation.kkt`, one record per level.
        tolerances: what counts as equal.
        multipliers: λ that is claimed, as in :func:`certify`.
    """
    first = kkts[0]
    with np.errstate(all="ignore"):
        try:
            found = judged(kkts, tolerances, claim=multipliers)
        except (ArithmeticError, np.linalg.LinAlgError):
            found = out_of_range(first, tolerances)
        return finite_words(with_shown_sign(found, first))


def _advice(given: object) -> str:
    if isinstance(given, (str, Path)):
        return "Load it: certify(lexmargin.load(…), theta)."
    if isinstance(given, type):
        return f"Make one of it: {given.__name__}(…)."
    return (
        "Give a formulation such as HardMargin, a torch module, or f, jacobian and degree; "
        "certify_function takes JAX functions."
    )


def judged(
    kkts: tuple[Kkt, ...],
    limits: Tolerances,
    given: Evidence | None = None,
    claim: Array | None = None,
) -> Certificate:
    """Judge a point by its KKT data, with multipliers that are sought, or given.

    Args:
        kkts: one record per level.
        limits: what counts as equal.
        given: what a receipt carries: it is measured, and nothing is searched for.
        claim: λ that is measured before any is sought, as in :func:`certify`.

    Raises:
        ArithmeticError: numbers leave the range of doubles.
    """
    # Each kind of program brings its own modules: a linear one needs a third of all.
    first = kkts[0]
    sparse = first.functions.data.is_sparse
    if given is None and (sparse or (first.part is not None and linear_w_set(kkts))):
        return certify_linear_kkt(kkts, limits, claim)
    if first.loss is not None:
        from lexmargin.judge.programs.loss_programs import certify_loss

        return _established(certify_loss(first, limits), given)
    if first.is_direction:
        alone = claim[0] if claim is not None and claim.ndim == 2 else claim
        found = certify_along(first, limits, given, alone)
    else:
        from lexmargin.judge.programs.margin_programs import certify_program

        found = _established(certify_program(recentred(kkts), limits, given), given)
    if first.ordered is None:
        return found
    from lexmargin.judge.levels.level_proofs import with_ordered_levels

    return with_ordered_levels(first, found, limits, given, claim)


def _established(found: Certificate, given: Evidence | None) -> Certificate:
    """Say in one sentence what is established where everything is given."""
    if given is None:
        return found
    # What a receipt quotes comes first; the bound that a GLOBAL rests on is named after it.
    named = tuple(why for why in found.reasons if names_a_bound(why))
    return replace(found, reasons=(ESTABLISHED[found.verdict], *named))


def flattened(problem: Formulation, theta: ArrayLike | Sequence[FloatArray]) -> FloatArray:
    """Return θ flat ``(d,)``, from a flat vector or from one array per block.

    Raises :class:`~lexmargin.errors.ShapeError` where it does not fit the predictor, and
    :class:`~lexmargin.errors.DataError` where it is not finite.
    """
    return problem.functions.point(theta)
