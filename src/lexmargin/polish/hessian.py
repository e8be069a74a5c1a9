"""Exact second derivatives of margin functions: ``Σ_n weights_n ∇²f_n(w)``, by CasADi."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["weighted_hessian"]


def weighted_hessian(functions: MarginFunctions, w: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``Σ_n weights_n ∇²f_n(w)`` (d, d), compiled once per margin functions.

    Args:
        functions: smooth at w.
        w: (d,) the point.
        weights: (N,) one per margin function, of any sign.

    Raises:
        UnsupportedError: an operation without a CasADi form.
    """
    if functions.size * functions.count == 0:
        return np.zeros((functions.size, functions.size))
    found = _compiled(functions)(w, functions.score_weights(weights))
    return np.asarray(found.full(), dtype=np.float64)


@functools.lru_cache(maxsize=8)
def _compiled(functions: MarginFunctions) -> Any:
    import casadi as ca

    from lexmargin.ops.casadi import CasadiArray, CasadiOps

    ops = CasadiOps()
    flat = ca.MX.sym("w", functions.size)
    blocks, first = [], 0
    for shape in functions.shapes:
        last = first + math.prod(shape)
        part = flat[first:last]
        matrix = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        blocks.append(CasadiArray(matrix, shape))
        first = last
    scores = functions.predictor(ops, blocks, ops.constant(functions.features))
    columns = functions.predictor.outputs if functions.multi_class else 1
    weights = ca.MX.sym("weights", functions.data.n_samples, columns)
    lagrangian = ca.dot(weights, scores.matrix)
    return ca.Function("hessian", [flat, weights], [ca.hessian(lagrangian, flat)[0]])
