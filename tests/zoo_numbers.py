"""What a certificate of a trained network says, against Jacobians and SciPy's nnls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

import lexmargin as lm

LOOSE = lm.Tolerances(stationarity=0.3, complementarity=0.3)
"""Networks of a few hundred steps are far from stationary: at these several samples carry λ."""
_NORMALISED = "normalised, judged by Σ λ ∇f = 0 instead of Definition 3: "


def check_numbers(found, far, values, rows, theta, blocks):
    """Hold margin, support, ε, δ and λ to what was computed at ``far`` times θ.

    values, rows
        margins (N,) and their gradients (N, d) there, by the framework's own Jacobian.
    blocks
        name and size of every parameter, in the order of θ.
    """
    certificate = getattr(found, "certificate", found)
    degree = found.degree
    assert not any("unknown" in reason for reason in certificate.reasons), certificate
    values, rows, theta = values / far**degree, rows / far ** (degree - 1), theta.copy()
    free = _free(certificate, blocks)
    for places in free:
        # A normalised block is asked for Σ λ ∇f = 0 in units of its own size.
        assert np.abs(rows[:, places] @ theta[places]).max() <= 1e-9 * np.abs(values).max()
        rows[:, places] *= np.linalg.norm(theta[places])
        theta[places] = 0.0
    size = np.linalg.norm(theta)
    for places in free:
        rows[:, places] /= size
    f = values / size**degree
    assert certificate.margin == pytest.approx(f.min(), rel=1e-6, abs=1e-9)
    if certificate.verdict is lm.Verdict.NOT_SEPARATING:
        assert f.min() <= 0.0
        return
    assert f.min() > 0.0
    g, unit, multipliers = rows / size ** (degree - 1.0), theta / size, certificate.multipliers
    residual = np.linalg.norm(unit - multipliers @ g)
    assert certificate.stationarity == pytest.approx(residual, rel=1e-5, abs=1e-7)
    slack = degree * float(multipliers @ (f - f.min()))
    assert certificate.complementarity == pytest.approx(slack, rel=1e-5, abs=1e-7)
    assert np.all(multipliers >= 0.0)
    assert not np.any(np.delete(multipliers, certificate.support))
    least = nnls(g[certificate.support].T, unit)[1]
    # Multipliers may give up some of ε for δ; nobody has less than nnls.
    assert residual >= least - 1e-7
    assert not certificate.stationarity_bound > least + 1e-6
    limits = certificate.tolerances
    if certificate.verdict.stationary:
        assert residual <= limits.stationarity and slack <= limits.complementarity


def _free(certificate, blocks):
    listed = [r[len(_NORMALISED) :] for r in certificate.reasons if r.startswith(_NORMALISED)]
    found = []
    for layer in listed[0].split(", ") if listed else []:
        places, first = [], 0
        for name, size in blocks:
            if name == layer or name.rpartition(".")[0] == layer:
                places += range(first, first + size)
            first += size
        found.append(np.array(places))
    return found
