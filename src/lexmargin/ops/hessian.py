"""Exact second derivatives of weighted scores, by CasADi."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lexmargin.ops.base import FloatArray
from lexmargin.ops.casadi import CasadiArray, CasadiOps

__all__ = ["compiled_products"]


def compiled_products(
    predictor: Callable[..., CasadiArray],
    shapes: Sequence[tuple[int, ...]],
    features: FloatArray,
    outputs: int,
) -> Any:
    """Return the CasADi function ``(θ, V, v) -> v·Σ V ∇²F(θ)``.

    Args:
        predictor: F, of the parameter blocks and the features, in any arithmetic.
        shapes: of the blocks that θ is flattened from.
        features: (n, p).
        outputs: columns of the scores and of their weights V (n, outputs).
    """
    import casadi as ca

    ops = CasadiOps()
    flat = ca.MX.sym("theta", sum(math.prod(shape) for shape in shapes))
    blocks, first = [], 0
    for shape in shapes:
        last = first + math.prod(shape)
        part = flat[first:last]
        matrix = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        blocks.append(CasadiArray(matrix, shape))
        first = last
    scores = predictor(ops, blocks, ops.constant(features))
    weights = ca.MX.sym("weights", len(features), outputs)
    combined = ca.dot(weights, scores.matrix)
    # Direction by direction: one symbolic Hessian of a deep network takes minutes to build.
    v = ca.MX.sym("v", flat.shape[0])
    applied = ca.jtimes(ca.gradient(combined, flat), flat, v)
    return ca.Function("product", [flat, weights, v], [applied])
