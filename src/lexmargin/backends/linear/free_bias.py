"""The W-set of a linear part and a bias: the hard-margin SVM with an unregularised bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lexmargin.backends.linear.linear_answer import LinearAnswer
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.w_set import WSet
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.sums import Member, Sum, linear_and_bias

__all__ = ["bias_samples", "has_bias", "never_negative", "w_set_point"]

_FORMS = (BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES, BiasForm.SQUARE)


def has_bias(problem: Formulation) -> bool:
    """Say whether eq. 13 is ``min ‖w‖²  s.t.  y_n (w·x_n + β) >= 1``, β free or β >= 0.

    One linear member and one bias of degree 2, and samples of both classes: with one class alone a
    bias may do it, and the optimum 0 needs no solver.
    """
    if not problem.is_judged or _members(problem) is None:
        return False
    kkt = problem.kkt(np.ones(problem.functions.size))[0]
    if kkt.part != 0 or not kkt.at_one:
        return False
    signs = problem.data.signed
    return bool(np.any(signs != signs[0]))


def bias_samples(problem: Formulation) -> tuple[Any, FloatArray]:
    """Return X (N, p), the columns that the linear member reads, and y (N,) in -1/+1.

    X is sparse where the samples are.

    Only for a linear member with a bias of degree 2.
    """
    linear, _ = _required(problem)
    X = problem.data.samples
    columns = linear.columns
    return (X if columns is None else X[:, list(columns)]), np.asarray(problem.data.signed, float)


def never_negative(problem: Formulation) -> bool:
    """Say whether β >= 0: the paper's literal b²."""
    return _required(problem)[1].form is BiasForm.SQUARE


def w_set_point(problem: WSet, answer: LinearAnswer) -> FloatArray:
    """Return (w, b) flat (d,) with margin 1 and the shortest b of its score: ``‖b‖² = |β|``."""
    linear, bias = _required(problem)
    score = answer.bias / answer.margin
    root = math.sqrt(abs(score))
    if bias.form is not BiasForm.TWO_SQUARES:
        block = np.array([math.copysign(root, score)])
    else:
        block = np.array([root, 0.0] if score > 0.0 else [0.0, root])
    first = isinstance(problem.predictor, Sum) and problem.predictor.members[0] is linear
    return np.concatenate([answer.w, block] if first else [block, answer.w])


def _members(problem: Formulation) -> tuple[Member, Bias] | None:
    found = linear_and_bias(problem.predictor)
    return found if found is not None and found[1].form in _FORMS else None


def _required(problem: Formulation) -> tuple[Member, Bias]:
    found = _members(problem)
    if found is None:
        raise UnsupportedError(
            "The predictor is no linear score with a bias of its own.", "Ask has_bias first."
        )
    return found
