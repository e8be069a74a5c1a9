"""The verdict on a direction whose gradients are too many to keep (math §3, Accuracy)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of
from lexmargin.judge.multipliers.gram import Gram
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.qualification import LicqReport, MfcqReport, MultiplierSet
from lexmargin.judge.multipliers.stationarity import lyu_li
from lexmargin.judge.multipliers.supports import climb
from lexmargin.judge.point import euler_error, is_noise
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.unmeasured import negative
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import Margins

__all__ = ["certify_by_gram"]


def certify_by_gram(
    margins: Margins, theta: Array, degree: float, limits: Tolerances, memory: float
) -> Certificate:
    """Judge θ/‖θ‖ for the ℓ2 ball from `K = J Jᵀ` of the support and passes through the network.

    The same words as :func:`certify_arrays`; the support is chosen first, so that only its
    gradients are formed.

    Parameters
    ----------
    margins : the margin functions.
    theta : (d,) of any length.
    degree : α.
    limits : what counts as equal.
    memory : bytes that gradients may take at a time.
    """
    length = vector_norm(theta, 2.0)
    if float(np.min(values := margins.values(theta))) <= 0.0:
        unit = values / length**degree
        return replace(negative(unit, 2.0, limits), degree=degree)
    ladder = Gram(margins, theta, degree, max(WIDEST, limits.support), memory)
    values, gamma = ladder.margins, float(np.min(ladder.margins))
    rung = climb(ladder, limits)
    found = rung.measured
    smallest = margins.rows(theta, np.flatnonzero(values <= gamma))
    noisy = is_noise(smallest, ladder.theta, degree * gamma)
    mismatch = euler_error(ladder.products, degree * values[ladder.indices])
    scale = length ** (degree - 1.0)
    margin = gamma / scale
    pair = lyu_li(found.residual, found.multipliers * (values - gamma), margin, degree)
    gram = ladder.square(found.support)
    independent, norms = _independent(gram), np.sqrt(np.diag(gram))
    products = ladder.products[np.searchsorted(ladder.indices, found.support)]
    slack = float(np.min(products / norms)) if np.all(norms > 0.0) else 0.0
    certificate = certificate_of(rung, Measured.of(found, noisy, mismatch), margin, 2.0, limits)
    return replace(
        certificate,
        multipliers=found.multipliers * scale,
        multiplier_set=Later(lambda: MultiplierSet(0 if independent.holds else None)),
        independence=Later(lambda: independent),
        interior=Later(lambda: MfcqReport(slack > 0.0, slack, theta)),
        degree=degree,
        reasons=(
            *certificate.reasons,
            f"from the inner products of {ladder.indices.size} gradients of {theta.size} "
            f"parameters, which alone resolve ε to {found.resolution:.1e}",
        ),
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
    )


def _independent(gram: Array) -> LicqReport:
    """Judge independence from inner products, which see singular values above 1e-8 or so only."""
    norms = np.sqrt(np.diag(gram))
    if np.any(norms == 0.0):
        return LicqReport(False, None, norms.size, 0.0, math.nan)
    weights = np.linalg.eigvalsh(gram / np.outer(norms, norms))
    largest = float(weights[-1])
    seen = weights > norms.size * EPS * largest
    rank = int(np.count_nonzero(seen))
    smallest = math.sqrt(max(0.0, float(weights[0]))) if rank == norms.size else 0.0
    return LicqReport(rank == norms.size, rank, norms.size, smallest, math.sqrt(largest))
